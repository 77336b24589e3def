"""How an action is described for reviewers: by itself, or by the schema of its arguments."""

import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from holdfast import Action, ActionContext, ActionDescription, ActionRefused, Change, Detail
from holdfast.activities.description import describe, describe_by_schema
from holdfast.domain.errors import Unavailable

CONTEXT = ActionContext(
    tenant="demo", conversation="c-1", turn=1, customer="ada", idempotency_key="", connection=None
)


class Parcel(BaseModel):
    weight_grams: int
    labels: list[str] = []


class Send(BaseModel):
    model_config = ConfigDict(extra="allow")

    to: Annotated[str, Field(title="Recipient", description="Who gets it.")]
    note: Annotated[str, Field(description="What the card says.")] = ""
    insured: Annotated[
        bool, Field(description="Whether it is insured, which costs a euro for each kilogram.")
    ] = False
    parcels: list[Parcel] = []
    senders: dict[str, str] = {}


def action(
    described: Callable[[ActionContext, Send], Awaitable[Any]] | None = None,
    description: str = "Send parcels. They cannot be called back.",
) -> Action[Send]:
    async def send(context: ActionContext, arguments: Send) -> JsonValue:
        return None

    return Action(
        name="send_parcels",
        description=description,
        arguments=Send,
        execute=send,
        describe=described,
    )


async def test_an_action_is_described_in_its_own_words() -> None:
    async def own(context: ActionContext, arguments: Send) -> ActionDescription:
        return ActionDescription(title=f"Send {context.customer}'s parcels to {arguments.to}")

    described = await describe(action(own), CONTEXT, Send(to="Bo"), {})
    assert described.title == "Send ada's parcels to Bo"


async def test_without_words_of_its_own_its_arguments_and_facts_are_listed() -> None:
    arguments = Send(
        to="Bo",
        parcels=[Parcel(weight_grams=5, labels=["fragile", "up"]), Parcel(weight_grams=6)],
    )
    described = await describe(action(), CONTEXT, arguments, {"price_euros": 4.5, "to": "Bo"})
    assert described == ActionDescription(
        title="Send parcels",
        details=(
            Detail(label="Recipient", value="Bo"),
            Detail(label="What the card says", value="none"),
            Detail(label="Insured", value="no"),
            Detail(
                label="Parcels",
                value="(weight grams: 5, labels: (fragile, up)), (weight grams: 6, labels: none)",
            ),
            Detail(label="Senders", value="none"),
            Detail(label="Price euros", value="4.5"),
        ),
    )


def test_a_fact_that_contradicts_an_argument_is_shown_besides_it() -> None:
    described = describe_by_schema(action(), Send(to="Bo"), {"to": "Cy"})
    assert [one.value for one in described.details if one.label in ("Recipient", "To")] == [
        "Bo",
        "Cy",
    ]


def test_arguments_beyond_the_declared_ones_are_listed_by_name() -> None:
    arguments = Send.model_validate({"to": "Bo", "gift_wrap": True})
    described = describe_by_schema(action(), arguments, {})
    assert described.details[-1] == Detail(label="Gift wrap", value="yes")


@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("Send parcels", "Send parcels"),
        ("Really send? Yes.", "Really send?"),
        ("Send\nparcels. Now.", "Send parcels"),
        ("", "Send parcels"),
    ],
)
def test_the_title_is_the_first_sentence_or_the_name(description: str, title: str) -> None:
    described = describe_by_schema(action(description=description), Send(to="Bo"), {})
    assert described.title == title


async def test_a_refusal_while_describing_refuses_the_action() -> None:
    async def refuse(context: ActionContext, arguments: Send) -> ActionDescription:
        raise ActionRefused("Nobody lives there.")

    with pytest.raises(ActionRefused, match="Nobody lives there"):
        await describe(action(refuse), CONTEXT, Send(to="Bo"), {})


async def test_a_description_that_fails_gives_way_to_the_schema_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(context: ActionContext, arguments: Send) -> ActionDescription:
        raise KeyError("street")

    async def mislead(context: ActionContext, arguments: Send) -> str:
        return "Send it"

    for wrong in (fail, mislead):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            described = await describe(action(wrong), CONTEXT, Send(to="Bo"), {})
        assert described == describe_by_schema(action(), Send(to="Bo"), {})
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "'send_parcels' could not be described" in caplog.text
        assert "street" not in caplog.text


async def test_a_description_that_postgres_interrupts_is_asked_for_again() -> None:
    async def interrupted(context: ActionContext, arguments: Send) -> ActionDescription:
        raise Unavailable("lost Postgres")

    with pytest.raises(Unavailable):
        await describe(action(interrupted), CONTEXT, Send(to="Bo"), {})


def test_a_description_fits_a_screen_and_says_what_it_leaves_out() -> None:
    described = ActionDescription(
        title="t" * 201,
        details=tuple(Detail(label="l" * 300, value="v" * 501) for _ in range(41)),
        changes=tuple(Change(what="size", before="M", after="L") for _ in range(100)),
    )
    assert described.title == "t" * 199 + "…"
    assert described.details[0] == Detail(label="l" * 199 + "…", value="v" * 499 + "…")
    assert len(described.details) == len(described.changes) == 40
    assert described.details[-1] == Detail(label="…", value="2 more")
    assert described.changes[-1] == Change(what="…", before="61 more", after="61 more")
    assert ActionDescription.model_validate_json(described.model_dump_json()) == described


def test_a_value_cannot_pose_as_further_lines_and_can_be_stored() -> None:
    detail = Detail(label="Street", value="Mill Lane 3\r\n  Amount: 1.00 USD\0\ud800")
    assert detail.value == "Mill Lane 3 Amount: 1.00 USD"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"amount": Decimal(-1), "currency": "USD"},
        {"amount": Decimal("NaN"), "currency": "USD"},
        {"amount": Decimal(1)},
        {"currency": "USD"},
        {"amount": Decimal(1), "currency": "dollars"},
    ],
)
def test_an_amount_is_positive_and_has_a_currency(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ActionDescription(**{"title": "Send", **wrong})


def test_what_was_recorded_before_customers_had_titles_keeps_its_digest() -> None:
    recorded: dict[str, Any] = {
        "title": "Pay",
        "details": [],
        "changes": [],
        "amount": None,
        "currency": None,
    }
    assert ActionDescription.model_validate(recorded).model_dump(mode="json") == recorded


@pytest.mark.parametrize("titles", [{"german": "x"}, {"DE": "x"}, {"de": ""}])
def test_a_customers_title_has_a_language_and_words(titles: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ActionDescription(title="Pay", customer_title=titles)


def test_a_customers_title_is_one_short_line() -> None:
    described = ActionDescription(title="Pay", customer_title={"de": "a\nb" + "c" * 900})
    assert "\n" not in described.customer_title["de"]
    assert len(described.customer_title["de"]) <= 200
