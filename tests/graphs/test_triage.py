"""Triage over the offline model."""

from dataclasses import replace
from typing import cast

import pytest

from holdfast.contract.chat import ChatModel
from holdfast.domain.outcomes import Escalation, Reply, Route
from holdfast.graphs.triage import triage
from tests.graphs.asking import AGENTS, Asker


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("Where is my order #12?", "orders"),
        ("please cancel it, i do not need it", "orders"),
        ("How long do I have to decide? What is your policy?", "knowledge"),
        ("Hello!", "general"),
        ("Thanks a lot", "general"),
        ("Who are you?", "general"),
    ],
)
async def test_a_clear_message_is_routed(asker: Asker, text: str, agent: str) -> None:
    route = await asker.ask(triage, text)

    assert isinstance(route, Route)
    assert (route.agent, route.priority, route.language) == (agent, "normal", "en")
    assert route.confidence >= 0.7
    assert route.intent


@pytest.mark.parametrize("follow_up", ["#12", "yes", "and that one too?"])
async def test_a_follow_up_stays_with_the_agent_in_charge(asker: Asker, follow_up: str) -> None:
    route = await asker.ask(triage, "Where is my order?", "Which order do you mean?", follow_up)

    assert isinstance(route, Route)
    assert route.agent == "orders"


async def test_the_only_agent_gets_every_message_without_a_model(asker: Asker) -> None:
    def no_model() -> ChatModel:
        return cast(ChatModel, None)

    alone = replace(asker, model=no_model)
    for text in ("Where is my order #12?", "Blub", "I want to talk to a human"):
        route = await alone.ask(triage, text, agents=AGENTS[:1])
        assert route == Route(agent="orders", intent="-", confidence=1)


async def test_an_unclear_message_is_asked_back_about_the_topics(asker: Asker) -> None:
    reply = await asker.ask(triage, "Blub")

    assert isinstance(reply, Reply)
    assert reply.asks_back
    assert "Orders, parcels and payments." in reply.text


async def test_what_stays_unclear_after_asking_back_goes_to_a_person(asker: Asker) -> None:
    assert isinstance(await asker.ask(triage, "Blub", asked_back=1), Escalation)


@pytest.mark.parametrize(
    "text",
    [
        "I want to talk to a human",
        "Ich möchte mit einem Menschen sprechen",
        "Kann ich bitte mit einer Mitarbeiterin reden?",
        "Verbinden Sie mich mit jemandem aus dem Service",
        "Ich brauche einen Menschen",
    ],
)
async def test_who_asks_for_a_person_gets_one(asker: Asker, text: str) -> None:
    assert isinstance(await asker.ask(triage, text), Escalation)


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("Guten Morgen!", "general"),
        ("Vielen Dank", "general"),
        ("Wer bist du?", "general"),
        ("Was können Sie für mich tun?", "general"),
        ("Wie lange habe ich Zeit? Wie sind die Bedingungen?", "knowledge"),
    ],
)
async def test_a_clear_message_in_german_is_routed(asker: Asker, text: str, agent: str) -> None:
    route = await asker.ask(triage, text)
    assert isinstance(route, Route)
    assert (route.agent, route.priority) == (agent, "normal")


async def test_urgency_and_language_are_told(asker: Asker) -> None:
    urgent = await asker.ask(triage, "Fraud! Where is my order #12?")
    german = await asker.ask(triage, "Guten Tag, was ist mit der Bestellung #12?")
    theft = await asker.ask(triage, "Betrug! Wo ist meine Bestellung #12? It is order #12")

    assert isinstance(urgent, Route)
    assert isinstance(german, Route)
    assert isinstance(theft, Route)
    assert (urgent.priority, theft.priority, german.language) == ("urgent", "urgent", "de")
