"""A number is one value, whether it comes as an integer or not: verdicts don't depend on it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from holdfast.domain.ids import canonical_json
from holdfast.domain.policy import PolicyInput, load_policy
from holdfast.domain.policy.conditions import Condition
from holdfast.domain.policy.expressions import read

LARGE = 2**53 + 1


def holds(source: str, **args: Any) -> bool:
    return Condition(source).holds(PolicyInput(args=args).variables())


def other(value: Any) -> Any:
    """The same value with its whole numbers as the other kind."""
    match value:
        case int() if not isinstance(value, bool):
            return float(value)
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: other(part) for name, part in value.items()}
        case list():
            return [other(part) for part in value]
        case _:
            return value


TRUE = [
    ("(args.a + args.b) / args.c == 0.5", {"a": 1.0, "b": 1, "c": 4.0}),
    ("args.a * 1.2 > 179.0", {"a": 150}),
    ("args.a * 2 == 5", {"a": 2.5}),
    ("args.a * 2 == 4 && 2 * args.a + 1 == 5 && -args.a - 1 == -3", {"a": 2}),
    ("args.a / 2 == 2.5 && 10 / args.a == 2", {"a": 5}),
    ("1 / 2 * args.a == 1", {"a": 2}),
    ("args.a % 2 == 1 && int(args.a) % 2 == 1 && (args.a % 2) * 1.5 == 1.5", {"a": 5}),
    ("size(args.l) + args.a == 3 && size(args.l) + 1 > 2", {"l": [1, 2], "a": 1}),
    ("args.l.size() * args.a == 3.0", {"l": [1, 2], "a": 1.5}),
    (
        "args.l[args.a] == 6 && args.l[0] == 5 && args.m[args.k] == 1",
        {"l": [5, 6], "a": 1, "m": {"k": 1}, "k": "k"},
    ),
    ("args.l[size(args.l) - 1] == 6", {"l": [5, 6]}),
    ("args.l[args.a - 1] == 5", {"l": [5, 6], "a": 1}),
    ("args.l.map(x, x * 2) == [10, 12]", {"l": [5, 6.0]}),
    ("[1, 2].exists(x, x * args.a == 3.0) && [1, 2].exists(x, x * 2 == 4)", {"a": 1.5}),
    ("{'gold': 100, 'plain': 50}[args.t] * 2 > args.a", {"t": "gold", "a": 150}),
    ("(args.a > 100 ? 1 : args.b) * 2 == 2", {"a": 150, "b": 0.5}),
    ("(args.a > 100 ? 1 : 2) + 1 == 2 && (args.a > 100 ? 1 : 2) + 0.5 == 1.5", {"a": 150}),
    ("args.a in [150, 200] && args.a == 150 && args.a < 151u", {"a": 150}),
    ("args.a - 5u == 145", {"a": 150}),
    ("string(args.a) == '150' && double(args.a) == 150.0", {"a": 150}),
    ("args.a != args.b && args.a == 9007199254740993", {"a": LARGE, "b": LARGE - 1}),
    (
        "args.a in [9007199254740993] && !(args.b in [9007199254740993])",
        {"a": LARGE, "b": LARGE - 1},
    ),
    ("conversation.turns * 2 == 0.0 || true", {}),
    (
        "args.l.all(i, i.n * i.price <= 10.0)",
        {"l": [{"n": 2, "price": 5}, {"n": 2.0, "price": 0.5}]},
    ),
    ("timestamp('2030-01-01T00:00:00Z').getFullYear() + args.a == 2031", {"a": 1}),
    ("args.a * args.a > 100 // 'a comment' * 2", {"a": 11}),
]


@pytest.mark.parametrize(("source", "args"), TRUE)
def test_numbers_are_calculated_with_alike_however_they_come(
    source: str, args: dict[str, Any]
) -> None:
    assert holds(source, **args)
    if LARGE not in args.values():
        assert holds(source, **other(args))


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("args.a / args.b > 0.5", {"a": 0, "b": 0}),
        ("args.a / args.b > 0.5", {"a": 1, "b": 0}),
        ("1.0 / (args.a - 1) < 5.0", {"a": 1}),
        ("args.a / 0 > 5", {"a": 2}),
        ("args.a / 2 / (0) > 5", {"a": 2}),
        ("args.a / 0.0 > 5", {"a": 2}),
        ("args.a / 0x0 > 5", {"a": 2}),
        ("args.a / 0u > 5", {"a": 2}),
        ("args.a / 1e-400 > 5", {"a": 2}),
        ("args.a / -0 < 5", {"a": 2}),
        ("args.a / (1 - 1) > 5", {"a": 2}),
        ("args.a / (1.0 - 1.0) > 5", {"a": 2}),
        ("args.a * (5 / 0) > 5", {"a": 2}),
        ("[1, 2].exists(i, i / 0 > args.a)", {"a": 2}),
        ("args.a % 0 == 0", {"a": 2}),
        ("args.a % 0.0 == 0", {"a": 2}),
        ("args.a % (1 - 1) == 0", {"a": 2}),
        ("args.a % 2 == 0", {"a": 2.5}),
        ("args.l[args.a] == 5", {"l": [5, 6], "a": 0.5}),
        ("args.text * 2 > 1", {"text": "5"}),
        ("args.a / args.text > 1", {"a": 1, "text": "5"}),
        ("args.yes / args.yes > 0", {"yes": True}),
    ],
)
def test_what_cannot_be_calculated_fails_and_compares_with_nothing(
    source: str, args: dict[str, Any]
) -> None:
    for given_ in (args, other(args)):
        with pytest.raises((TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError)):
            holds(source, **given_)


def test_what_mixes_no_kinds_is_given_to_the_library_as_it_is_written() -> None:
    for source in (
        "args.a > 100 && args.b in args.l // windows.w * 2",
        "size(args.l) + 1 > 2 && int(args.a) % 2 == 0",
        "args.at + duration('1h') > timestamp('2030-01-01T00:00:00Z')",
        "args.a * 1.2 > 100.0 || {1: 'x'}[1] == 'x'",
    ):
        assert read(source)[1] == source


RULES = """
name: numbers
version: 1
actions:
  pay:
    - {when: (facts.a + facts.b) / facts.c > 0.5, deny: true}
    - {when: args.a * 1.2 + 1 > 100.0 - facts.b / 2, approve: {roles: [a]}}
    - {when: args.n % 3 == 0 && customer.level * 2 >= args.n, approve: {roles: [b], quorum: 2}}
    - {when: "facts.l.exists(x, x * facts.a > args.n) || args.n == facts.b", deny: true}
    - allow
"""
POLICY = load_policy(RULES, source="numbers.yaml")
numbers = (
    st.integers(-300, 300)
    | st.floats(-300, 300)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-300, 300).map(float)
)
seen = st.fixed_dictionaries(
    {
        "args": st.fixed_dictionaries({"a": numbers, "n": numbers}),
        "facts": st.fixed_dictionaries(
            {"a": numbers, "b": numbers, "c": numbers, "l": st.lists(numbers, max_size=3)}
        ),
        "customer": st.fixed_dictionaries({"level": numbers}),
    }
)


@given(seen)
def test_the_same_values_get_the_same_verdict_in_every_form(seen: dict[str, JsonValue]) -> None:
    expected = POLICY.verdict("pay", PolicyInput.model_validate(seen))
    canonical = json.loads(canonical_json(seen))
    for form in (canonical, json.loads(json.dumps(seen)), other(canonical)):
        if form == seen:  # a double of a number too long for one is another value
            assert POLICY.verdict("pay", PolicyInput.model_validate(form)) == expected
