"""Names in conditions and windows that no action or customer has, and texts that are counted with."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.policy import load_policy
from holdfast.domain.policy.name_check import KnownAction, Problem, check_names


class Parcel(BaseModel):
    kind: Literal["parcel"] = "parcel"
    weight: float


class Letter(BaseModel):
    kind: Literal["letter"] = "letter"
    pages: int


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    known: int


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    known: int


class Send(BaseModel):
    """Arguments of every kind."""

    order: str
    name: str
    count: int
    price: Decimal
    parcel: Parcel
    spare: Parcel | None = None
    either: Annotated[Parcel | Letter, Field(discriminator="kind")]
    lines: list[Parcel] = []
    labels: dict[str, str] = {}
    open: Open
    closed: Closed
    nothing: None = None
    renamed: Annotated[int, Field(alias="otherName")]


SEND = KnownAction(arguments=Send, facts=("paid", "price"))


def problems(
    *conditions: str,
    windows: str = "{}",
    action: KnownAction = SEND,
    customer: tuple[str, ...] | None = (),
) -> list[Problem]:
    rules = "".join(f"\n    - {{when: {one!r}, deny: true}}" for one in conditions)
    loaded = load_policy(
        f"name: shop\nversion: 1\nwindows: {windows}\nactions:\n  send:{rules}\n    - allow\n",
        source="shop.yaml",
    )
    return list(check_names(loaded, {"send": action}, customer))


@pytest.mark.parametrize(
    "condition",
    [
        "args.count > 1 && args.parcel.weight > 1.5",
        "args.spare != null && args.spare.weight > 1.0",
        'args.either.kind == "letter" && args.either.pages > 3',
        "args.lines[0].weight > 1.0 && args.lines.anything == 1",
        'args.labels.anything == "x"',
        "args.open.known == args.open.anything",
        "args.closed.known == 1 && args.renamed == 1",
        "facts.paid > 1.0 && customer.id == tenant",
        'conversation.turns > 3 && conversation.language == "en"',
        'args.order + args.name == "ab"',
        'args.order + "-1" == "x-1"',
        "args.order == 1",
        "double(args.price) > 100.0",
        "args.nothing > 1",
        "args.labels['x'] > 1",
    ],
)
def test_what_actions_and_customers_have_may_be_named(condition: str) -> None:
    assert problems(condition) == []


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("args.cuont == 1", "args has no 'cuont'; is count meant?"),
        ("args.cuont > 1", "args has no 'cuont'; is count meant?"),
        ("args.parcel.size == 1", "args.parcel has no 'size'; it has kind, weight"),
        ("args.spare.size == 1", "args.spare has no 'size'; it has kind, weight"),
        ("args.either.size == 1", "args.either has no 'size'; it has kind, pages, weight"),
        ("args.closed.more == 1", "args.closed has no 'more'; it has known"),
        ("args.count.more == 1", "args.count has no 'more'; it has no names"),
        ("args.nothing.more == 1", "args.nothing has no 'more'; it has no names"),
        ("args.otherName == 1", "args has no 'otherName'; it has closed"),
        ("facts.pad > 1.0", "facts has no 'pad'; is paid meant?"),
        ('customer.tier == "gold"', "customer has no 'tier'; it has id"),
        ('conversation.mood == "bad"', "conversation has no 'mood'; it has age, id, "),
        (
            "args.price > 100",
            "args.price is a text in JSON (as decimals are): write double(args.price)",
        ),
        ("5 - args.order > args.count", "args.order is a text in JSON"),
    ],
)
def test_what_nobody_has_is_found_with_what_is_meant(condition: str, text: str) -> None:
    (problem,) = problems("args.count > 1", condition)
    assert problem.at == ("actions", "send", 1, "when")
    assert problem.text.startswith(text)


def test_a_text_beside_a_sum_is_found() -> None:
    window = "{w: {amount: args.count, actions: [send], within: 30d}}"
    (problem,) = problems("args.price > windows.w", windows=window)
    assert "args.price is a text" in problem.text
    assert problems("args.count > windows.w", windows=window) == []


def test_facts_and_customers_that_are_not_declared_have_any_name() -> None:
    free = KnownAction(arguments=Send)
    assert problems("facts.anything > 1", action=free) == []
    assert problems("customer.anything == 1", customer=None) == []
    assert problems('customer.tier == "gold"', customer=("tier",)) == []
    (problem,) = problems("customer.level == 1", customer=("tier",))
    assert problem.text == "customer has no 'level'; it has id, tier"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("args.count", None),
        ("args.parcel.weight", None),
        ("facts.paid", None),
        ("args.cuont", "for send: args has no 'cuont'; is count meant?"),
        (
            "args.price",
            "for send: args.price is a text in JSON (as decimals are), which counts nothing",
        ),
    ],
)
def test_a_window_adds_up_a_number_that_its_actions_have(amount: str, text: str | None) -> None:
    window = f"{{w: {{amount: {amount}, actions: [other, send, another], within: 30d}}}}"
    found = problems(windows=window)
    assert found == ([] if text is None else [Problem(at=("windows", "w", "amount"), text=text)])


def test_actions_that_nobody_brings_are_passed_over_and_the_others_are_not() -> None:
    def checked(**actions: KnownAction) -> list[tuple[Any, ...]]:
        loaded = load_policy(
            "name: shop\nversion: 1\nactions:\n"
            "  fly: {when: args.x == 1, deny: true}\n"
            "  send: [{when: args.x == 1, deny: true}, allow]\n",
            source="shop.yaml",
        )
        return [problem.at for problem in check_names(loaded, actions)]

    assert checked() == []
    assert checked(send=SEND) == [("actions", "send", 0, "when")]
