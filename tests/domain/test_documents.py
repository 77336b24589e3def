"""YAML files that people write: bounded in depth and size, and nothing in them is dropped in silence."""

import time

import pytest

from holdfast.domain.documents import line_of
from holdfast.domain.errors import PolicyError
from holdfast.domain.policy import load_policy

HEAD = "name: a\nversion: 1\n"
DOUBLED = "".join(f"y{n}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))

BOMBS = {
    "deep lists": (HEAD + "actions: " + "[" * 60_000, "nested too deep"),
    "deep lists that end": (HEAD + "x: " + "[" * 200 + "]" * 200, "nested too deep"),
    "deep maps": (HEAD + "x: " + "{a: " * 10_000, "nested too deep"),
    "deep blocks": (HEAD + "".join(" " * n + "a:\n" for n in range(400)), "nested too deep"),
    "deep dashes": (HEAD + "x:\n" + "- " * 5_000 + "a", "nested too deep"),
    "aliases of aliases": (HEAD + "x: &a0 [1, 2]\n" + DOUBLED, "more than 20000 values"),
    "an alias of itself": (HEAD + "x: &a [*a]\n", "more than 20000 values"),
    "merged keys": (HEAD + "x: &a {b: 1}\nactions: {<<: *a}\n", "merged with <<"),
    "a key twice": (HEAD + "actions:\n  pay: allow\n  'pay': deny\n", "'pay' twice"),
}


@pytest.mark.parametrize(
    ("text", "why"), [pytest.param(*one, id=name) for name, one in BOMBS.items()]
)
def test_a_file_that_is_made_to_cost_or_to_mislead_is_refused_soon(text: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(PolicyError, match=why) as refused:
        load_policy(text, source="acme.yaml")
    assert time.process_time() - began < 2
    assert str(refused.value).startswith("acme.yaml:")


def test_rules_may_be_written_once_and_named() -> None:
    rules = "pay: {approve: &two {roles: [a], quorum: 2}}\n  send: {approve: *two}"
    policy = load_policy(f"{HEAD}actions:\n  {rules}\n", source="acme.yaml")
    assert policy.actions["pay"][0].approve == policy.actions["send"][0].approve


def test_the_line_of_a_place_is_that_of_its_innermost_part() -> None:
    text = f"{HEAD}actions:\n  pay:\n    - allow\n    - when: 'true'\n      deny: true\n"
    assert line_of(text, ("actions", "pay", 1, "deny")) == 7
    assert line_of(text, ("actions", "pay", 1, "nowhere")) == 6


@pytest.mark.parametrize(
    "value",
    ['!!int ""', "!!bool maybe", "!!timestamp foo", "2026-99-99", "!!float x", '!!binary "é"'],
)
def test_a_value_that_is_not_what_its_tag_says_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(PolicyError, match=r"^acme.yaml:2: not YAML: ") as refused:
        load_policy(f"name: a\nversion: {value}\nactions: {{}}\n", source="acme.yaml")
    assert "maybe" not in str(refused.value)
