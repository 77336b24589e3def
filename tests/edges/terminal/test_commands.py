"""A conversation from the command line: customers, reviewers and operators at work."""

import asyncio
import json
import os
import pty
from typing import Any
from urllib.parse import urlsplit

import pytest

from holdfast.domain.errors import WrongCustomer
from holdfast.domain.review import Accept, Reviewer
from holdfast.edges.terminal.chat import Chat
from holdfast.testing import (
    ModelReply,
    eventually,
    failure,
    last_message,
    routed_to,
    text,
    tool_calls,
)
from tests.edges.terminal.command import Command, starter
from tests.edges.terminal.relay import Relay
from tests.platform import Platform

LEAVES_BRACKETED_PASTE = "\x1b[?2004l"

GREETING = ("--customer", "ann")


async def document(platform: Platform, *arguments: str) -> Any:
    """The JSON document of a command that succeeds."""
    ended = await starter(platform.environment, *arguments, "--tenant", platform.tenant, "--json")
    assert ended.err == ""
    return ended.document


async def printed(platform: Platform, *arguments: str) -> str:
    """What a command that succeeds prints for people."""
    ended = await starter(platform.environment, *arguments, "--tenant", platform.tenant)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def adding(amount: int) -> Any:
    """An agent that adds once to a counter, and then says what it was told."""

    def answer(request: dict[str, Any]) -> ModelReply:
        if request["messages"][-1]["role"] == "tool":
            return text(f"Result: {last_message(request)}")
        return tool_calls(("add", {"counter": "c", "amount": amount}))

    return routed_to("counter", answer)


async def test_a_message_is_answered_and_shown(platform: Platform) -> None:
    sent = await document(platform, "send", "c1", "hello", *GREETING, "--message-id", "m1")
    assert sent == {
        "conversation": "c1",
        "turn": 1,
        "message_id": "m1",
        "status": "answered",
        "reply": "Hello.",
        "citations": [],
        "approvals": [],
        "actions": [],
        "degraded": False,
    }
    assert sent == await document(platform, "send", "c1", "hello", *GREETING, "--message-id", "m1")
    shown = await document(platform, "show", "c1")
    assert (shown["conversation"], shown["status"], shown["turns"]) == ("c1", "open", 1)
    assert [(one["seq"], one["turn"], one["role"], one["text"]) for one in shown["messages"]] == [
        (1, 1, "customer", "hello"),
        (2, 1, "assistant", "Hello."),
    ]
    assert shown["model_calls"] == 2
    assert shown["history"].keys() == {"run", "events", "bytes"}
    assert "Hello." in await printed(platform, "show", "c1")


async def test_without_waiting_a_message_is_accepted_and_answered_later(platform: Platform) -> None:
    sent = await document(platform, "send", "c1", "hello", *GREETING, "--no-wait")
    assert (sent["status"], sent["turn"], sent["reply"]) == ("accepted", None, None)

    async def answered() -> bool:
        return len(await platform.client.messages("c1")) == 2

    await eventually(answered)


async def test_an_approval_is_listed_edited_and_executed_once(platform: Platform) -> None:
    platform.script = adding(100)
    sent = await document(platform, "send", "c1", "a hundred", *GREETING)
    assert sent["status"] == "awaiting_approval"
    (approval,) = sent["approvals"]
    (waiting,) = (await document(platform, "approvals"))["approvals"]
    assert (waiting["id"], waiting["roles"]) == (approval, ["counters"])
    assert waiting["actions"][0]["arguments"] == {"counter": "c", "amount": 100}
    people_read = await printed(platform, "approvals")
    assert f"holdfast approve {approval} --as YOU --role counters" in people_read
    assert "Amount: 100" in people_read

    edited = json.dumps({"counter": "c", "amount": 101})
    decided = await document(
        platform, "edit", approval, "--as", "bob", "--role", "counters", "--arguments", edited
    )
    assert decided["state"] == "accepted"

    async def executed() -> bool:
        return len(await platform.client.messages("c1")) == 3

    await eventually(executed)
    shown = await document(platform, "show", "c1")
    assert [(one["state"], one["executions"]) for one in shown["actions"]] == [("executed", 1)]
    assert shown["pending_approvals"] == []
    assert await platform.effects() == [101]
    assert (await document(platform, "approvals"))["approvals"] == []
    (kept,) = (await document(platform, "approvals", "--state", "all"))["approvals"]
    assert kept["state"] == "accepted"


async def test_reviewers_claim_look_comment_and_delegate(platform: Platform) -> None:
    platform.script = adding(150)
    (approval,) = (await document(platform, "send", "c1", "add", *GREETING))["approvals"]
    cleo = (approval, "--as", "cleo", "--role", "counters")
    looked = await document(platform, "approval", approval, "--as", "cleo")
    assert (looked["question"], looked["actions"][0]["description"]["title"]) == (
        "add",
        "Add to a counter",
    )
    claimed = await document(platform, "claim", *cleo)
    assert claimed["state"] == "pending"
    other = ("approve", approval, "--as", "bob", "--role", "counters", "--tenant", platform.tenant)
    refused = await starter(platform.environment, *other)
    assert (refused.code, json.loads(refused.err)["error"]) == (3, "Claimed")
    mine = await document(platform, "approvals", "--mine", "cleo")
    assert [one["claimed_by"] for one in mine["approvals"]] == ["cleo"]
    await document(platform, "claim", *cleo, "--release")
    await document(platform, "comment", approval, "--as", "bob", "--text", "Looks fine.")
    assert "comment by bob (Looks fine.)" in await printed(platform, "approval", approval)
    await document(platform, "delegate", *cleo, "--to", "dan")
    for wanted, count in (
        (("--mine", "dan"), 1),
        (("--mine", "cleo"), 0),
        (("--role", "counters", "--role", "boss"), 1),
        (("--role", "boss"), 0),
        (("--agent", "counter"), 1),
        (("--agent", "other"), 0),
        (("--overdue",), 0),
        (("--amount", "1"), 0),
    ):
        found = (await document(platform, "approvals", *wanted))["approvals"]
        assert len(found) == count, wanted
    decided = await document(platform, "approve", approval, "--as", "dan")
    assert decided["state"] == "accepted"
    verified = await document(platform, "audit", "verify")
    assert verified["problems"] == []
    exported = await starter(platform.environment, "audit", "export", "--tenant", platform.tenant)
    kinds = [json.loads(line)["kind"] for line in exported.out.splitlines()]
    assert kinds[:5] == [
        "approval_requested",
        "approval_seen",
        "decision_claim",
        "decision_release",
        "decision_comment",
    ]


async def test_a_rejection_and_a_response_reach_the_agent(platform: Platform) -> None:
    platform.script = adding(100)
    for conversation, command, option, state in (
        ("c1", "reject", "--reason", "rejected"),
        ("c2", "respond", "--text", "responded"),
    ):
        sent = await document(platform, "send", conversation, "a hundred", *GREETING)
        bob = ("--as", "bob", "--role", "counters")
        told = (option, "Ask again tomorrow.")
        decided = await document(platform, command, sent["approvals"][0], *bob, *told)
        assert decided["state"] == state

        async def answered(conversation: str = conversation) -> bool:
            said = await platform.client.messages(conversation)
            return "Ask again tomorrow." in said[-1].text

        await eventually(answered)
    assert await platform.effects() == []


async def test_a_person_takes_over_replies_and_hands_back(platform: Platform) -> None:
    await document(platform, "send", "c1", "hello", *GREETING)
    taken = await document(platform, "take-over", "c1", "--as", "bob")
    assert (taken["status"], taken["held_by"]) == ("awaiting_human", "bob")
    quiet = await document(platform, "send", "c1", "anybody?", *GREETING)
    assert (quiet["status"], quiet["reply"]) == ("awaiting_human", None)
    replied = await document(platform, "reply", "c1", "Bob here.", "--as", "bob")
    assert (replied["role"], replied["author"], replied["text"]) == ("human", "bob", "Bob here.")
    handed = await document(platform, "hand-back", "c1", "--as", "bob", "--note", "all good")
    assert (handed["status"], handed["held_by"]) == ("open", None)
    assert (await document(platform, "send", "c1", "again", *GREETING))["status"] == "answered"


async def test_a_conversation_is_listed_closed_twice_and_forked(platform: Platform) -> None:
    await document(platform, "send", "c1", "one", *GREETING)
    await document(platform, "send", "c1", "two", *GREETING)
    forked = await document(platform, "fork", "c1", "--turn", "1", "--as", "c2")
    assert (forked["id"], forked["turns"], forked["forked_from"]) == ("c2", 1, "c1@1")
    assert (await document(platform, "send", "c2", "other", *GREETING))["turn"] == 2
    for _ in range(2):
        assert (await document(platform, "close", "c1"))["status"] == "closed"

    async def listed(status: str, expected: str) -> bool:
        found = (await document(platform, "list", "--status", status))["conversations"]
        return [one["conversation"] for one in found] == [expected]

    await eventually(lambda: listed("closed", "c1"))
    await eventually(lambda: listed("open", "c2"))
    assert "c1" in await printed(platform, "list")


async def test_no_id_in_a_list_is_cut(platform: Platform) -> None:
    long = "c" * 64
    await platform.send(long, "hello")

    async def is_listed() -> bool:
        return f"{long}  open  " in await printed(platform, "list")

    await eventually(is_listed)


async def test_events_come_from_a_number_on_and_are_followed(platform: Platform) -> None:
    await platform.send("c1", "one")
    recorded = (await document(platform, "events", "c1"))["events"]
    assert [one["seq"] for one in recorded] == list(range(1, len(recorded) + 1))
    last = str(recorded[-1]["seq"])
    assert (await document(platform, "events", "c1", "--after", last))["events"] == []
    tenant = ("--tenant", platform.tenant, "--json")
    following = await Command.start(
        platform.environment, "events", "c1", "--follow", "--after", last, *tenant
    )
    await platform.send("c1", "two")
    line = json.loads(await following.read_line())
    assert (line["seq"], line["type"]) == (int(last) + 1, "message_received")
    following.interrupt()
    assert (await following.end()).code == 130


async def test_ctrl_c_ends_a_command_that_waits_for_a_silent_server(platform: Platform) -> None:
    await platform.send("c1", "one")
    url = urlsplit(platform.environment["HOLDFAST_DATABASE_URL"])
    assert url.hostname is not None
    assert url.port is not None
    async with Relay.open(url.hostname, url.port) as relay:
        user, _, _ = url.netloc.rpartition("@")
        through = url._replace(netloc=f"{user}@{relay.address}").geturl()
        following = await Command.start(
            {**platform.environment, "HOLDFAST_DATABASE_URL": through},
            "events", "c1", "--follow", "--tenant", platform.tenant, "--json",
        )  # fmt: skip
        await following.read_line()
        relay.fall_silent()
        await relay.withheld.wait()
        following.interrupt()
        async with asyncio.timeout(20):
            assert (await following.end()).code == 130


async def test_a_chat_by_lines_shows_each_answer_and_only_new_ones(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda request: text(f"{last_message(request)}!"))
    await platform.send("c1", "before")
    ended = await starter(
        platform.environment, "chat", "c1", "--customer", platform.customer, "--json",
        "--tenant", platform.tenant, stdin="one\n\ntwo\n",
    )  # fmt: skip
    assert ended.code == 0
    assert [one["text"] for one in ended.lines] == ["one!", "two!"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (tool_calls(("fail", {})), ["turn 1 failed"]),
        (failure(400), ["waits for a person"]),
    ],
    ids=["failed", "handed over"],
)
async def test_what_a_chat_tells_of_a_turn_that_failed_names_nothing_internal(
    platform: Platform, answer: ModelReply, told: list[str]
) -> None:
    platform.script = routed_to("counter", lambda _: answer)
    notices: list[str] = []
    chat = Chat(
        platform.client, "c1", platform.customer, show=lambda _: None, notice=notices.append
    )
    async with chat.open():
        await chat.say("please")
    assert notices == told
    (ended,) = [
        event.data async for event in platform.client.events("c1") if event.type == "turn_ended"
    ]
    assert str(ended.model_dump()["reason"]) in (
        "the turn could not be finished", "no model takes the request"
    )  # fmt: skip
    cause = await platform.database.fetchval(
        "select error from holdfast.turns where tenant = $1", platform.tenant
    )
    assert cause.count("ModelRefused") <= 1
    assert ":" in cause


async def test_a_chat_in_another_customer_s_conversation_is_refused(platform: Platform) -> None:
    chat = Chat(platform.client, "c1", "somebody-else", show=print, notice=print)
    async with chat.open():
        await platform.send("c1", "mine")
        with pytest.raises(WrongCustomer):
            await chat.say("theirs")

    ended = await starter(
        platform.environment, "chat", "c1", "--customer", "somebody-else", "--tenant", platform.tenant,
        stdin="theirs\n",
    )  # fmt: skip
    assert ended.code == 3
    assert ended.error["error"] == "WrongCustomer"


async def test_a_chat_shows_a_follow_up_by_itself(platform: Platform) -> None:
    platform.script = adding(100)
    chat = await Command.start(
        platform.environment, "chat", "c1", "--customer", "ann", "--json",
        "--tenant", platform.tenant,
    )  # fmt: skip
    await chat.write_line("a hundred")
    assert "colleague" in json.loads(await chat.read_line())["text"]
    (waiting,) = await platform.client.approvals.list()
    await platform.client.approvals.decide(
        waiting.id, Accept(), by=Reviewer("bob", roles=["counters"])
    )
    assert '{"effect": ' in json.loads(await chat.read_line())["text"]
    assert (await chat.end()).code == 0


async def test_a_chat_on_a_terminal_prompts_answers_and_ends_with_ctrl_d(
    platform: Platform,
) -> None:
    terminal, theirs = pty.openpty()
    chat = await Command.start(
        platform.environment, "chat", "c1", "--customer", "ann", "--tenant", platform.tenant,
        stream=theirs,
    )  # fmt: skip
    os.close(theirs)

    shown = ""

    async def read_until(text: str) -> None:
        nonlocal shown
        while text not in shown:
            shown += (await asyncio.to_thread(os.read, terminal, 65_536)).decode()
        shown = shown.partition(text)[2]

    try:
        async with asyncio.timeout(30):
            await read_until(">")
            os.write(terminal, b"hello\r")
            await read_until("Hello.")
            await read_until(">")  # a key that is pressed before is not the prompt's
            os.write(terminal, b"\x04")
            await read_until(LEAVES_BRACKETED_PASTE)
        assert await chat.process.wait() == 0
    finally:
        if chat.process.returncode is None:
            chat.process.kill()  # a thread that reads from the terminal ends with it
        os.close(terminal)
