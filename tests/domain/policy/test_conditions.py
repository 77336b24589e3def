"""What conditions may cost, and which names they use."""

import time
from decimal import Decimal
from typing import Any

import pytest

from holdfast.domain.policy import PolicyInput, load_policy
from holdfast.domain.policy.conditions import MOST_VALUES, Condition, TooCostly
from holdfast.domain.policy.expressions import parse

ACCEPTED = [
    "args.a > 1 && facts['b'].c <= 2.5 || !(customer.id in ['x', 'y'])",
    "has(facts.note) ? facts.note.matches('^[a-z]{2,3}$') : true",
    "args.items.all(i, i.price > 1.0 && i.kinds.exists(k, k == 'x'))",
    "args.items.map(i, i.price > 1.0, i.price)[0] == -1",
    "args.matches > 1 && args.map == args.size",
    "args.a ? args.b || args.c : args.d || args.e",
    "timestamp('2030-01-01T00:00:00Z').getFullYear() == 2030 // a comment",
    "{'a': 1, 'b': [1, 2,],}['a'] == 1e3 - 0x1F % 2u * .5",
    'size("""a "quoted" text""") > 0 && r\'\\d\' != b"x"',
]

REFUSED = {
    "too long": ("args.a == " + "1 + " * 600 + "1", "more than 2000 characters"),
    "parentheses too deep": ("(" * 40 + "true" + ")" * 40, "levels deep"),
    "negations too deep": ("!" * 200 + "true", "levels deep"),
    "lists too deep": ("[" * 40 + "]" * 40 + " == []", "levels deep"),
    "a chain of fields": ("args" + ".a" * 300 + " == 1", "chains"),
    "macros nested": ("args.l.all(a, args.l.all(b, args.l.all(c, a + b + c < 9)))", "nested"),
    "macros nested in ranges": ("[1].all(a, [1].filter(b, [1].exists(c, true)) == [])", "nested"),
    "many macros": (" && ".join(["args.l.all(a, a > 0)"] * 9), "more than 8"),
    "a pattern of a customer": ("args.text.matches(args.pattern)", "written down"),
    "a pattern that is put together": ("args.text.matches('a' + 'b')", "written down"),
    "a pattern that repeats repetitions": ("args.text.matches('(a{50}){50}')", "repetitions"),
    "a pattern that is long": (f"args.text.matches('{'ab' * 101}')", "more than 200 characters"),
    "an unknown variable": ("order.total > 1", "it names order"),
    "an unknown function": ("nobody(1) == 1", "no function 'nobody'"),
    "an unknown method": ("args.a.nobody() == 1", "no function 'nobody'"),
    "a window by a computed name": ("windows['a' + args.b] > 1.0", "by their names alone"),
    "a window by a name with an escape": ("windows['a\\n'] > 1.0", "by their names alone"),
    "windows alone": ("windows", "by their names alone"),
    "a list of windows": ("[windows] == []", "by their names alone"),
    "a pattern that is none": (
        "args.text.matches('[')",
        r"the pattern '\[' cannot be read: unclosed character class",
    ),
    "a pattern of a macro that is none": ("args.lines.all(a, a.matches('(?=a)'))", "look-around"),
    "a class that there is not": (r"args.text.matches('\\p{Foo}')", "property not found"),
    "no pattern": ("args.text.matches()", "takes one pattern"),
    "two patterns": ("args.text.matches('a', 'b')", "takes one pattern"),
    "a number as a pattern": ("args.text.matches(1)", "takes one pattern"),
    "a fraction as a pattern": ("args.text.matches(1.5)", "takes one pattern"),
    "a macro of one": ("args.l.exists(i)", "takes a name and what"),
    "a macro of three": ("args.l.all(i, true, true)", "takes a name and what"),
    "a map of four": ("args.l.map(i, true, i, i) == []", "takes a name and what"),
    "a macro without a name": ("args.l.all(1, true)", "takes a name and what"),
    "half a choice": ("true ? true true", "where : is expected"),
    "an index that is open": ("args.l[0", "where ] is expected"),
    "parentheses that are open": ("(true", "is expected"),
    "a list without commas": ("[1 2] == []", "where , or : is expected"),
    "a field called in": ("args.in == 1", "where a name is expected"),
    "a field without a name": ("args.1 == 1", "not expected|where a name is expected"),
    "what the library cannot read": ("{1, 2} == 1", "^[^\\n]+$"),
    "all windows": ("windows.exists(w, true)", "by their names alone"),
    "windows as a value": ("size(windows) == 1", "by their names alone"),
    "no expression": ("args.a >", "is expected"),
    "two expressions": ("true false", "not expected"),
    "what only looks like one": ("args.a = 1", "cannot be read"),
}


BOUNDS = {
    "characters": ("args.a == '" + "x" * 1_988 + "'", "args.a == '" + "x" * 1_989 + "'"),
    "parentheses": ("(" * 32 + "true" + ")" * 32, "(" * 33 + "true" + ")" * 33),
    "negations": ("!" * 33 + "true", "!" * 34 + "true"),
    "lists": ("[" * 33 + "]" * 33 + " == []", "[" * 34 + "]" * 34 + " == []"),
    "indexes": (
        "args" + "[args" * 32 + "]" * 32 + " == 1",
        "args" + "[args" * 33 + "]" * 33 + " == 1",
    ),
    "choices": ("true ? true : " * 32 + "true", "true ? true : " * 33 + "true"),
    "within a choice": (
        "true ? " + "(" * 31 + "true" + ")" * 31 + " : true",
        "true ? " + "(" * 32 + "true" + ")" * 32 + " : true",
    ),
    "a chain": ("args" + ".a" * 98 + " == 1", "args" + ".a" * 99 + " == 1"),
    "macros": (
        " && ".join(["args.l.all(a, a > 0)"] * 8),
        " && ".join(["args.l.all(a, a > 0)"] * 9),
    ),
    "nested macros": (
        "args.l.all(a, a.all(b, b > 0))",
        "args.l.all(a, a.all(b, b.all(c, c > 0)))",
    ),
    "a long pattern": (
        f"args.text.matches('{'a' * 200}')",
        f"args.text.matches('{'a' * 201}')",
    ),
    "repetitions": ("args.text.matches('a{100}')", "args.text.matches('a{101}')"),
    "open repetitions": ("args.text.matches('a{100,}')", "args.text.matches('a{101,}')"),
    "most repetitions": ("args.text.matches('a{2,100}')", "args.text.matches('a{2,101}')"),
    "several repetitions": ("args.text.matches('a{1}b{50}c{2}')", "args.text.matches('b{51}c{2}')"),
}


@pytest.mark.parametrize(
    ("last", "first"), [pytest.param(*one, id=name) for name, one in BOUNDS.items()]
)
def test_the_last_that_is_taken_and_the_first_that_is_not(last: str, first: str) -> None:
    assert Condition(last).source == last
    with pytest.raises(ValueError, match=r"more than|nested"):
        Condition(first)


@pytest.mark.parametrize("source", ACCEPTED)
def test_conditions_of_every_kind_are_read(source: str) -> None:
    assert Condition(source).source == source


@pytest.mark.parametrize(
    ("source", "why"), [pytest.param(*one, id=name) for name, one in REFUSED.items()]
)
def test_what_could_cost_too_much_or_never_be_told_is_refused_when_it_is_loaded(
    source: str, why: str
) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=why):
        Condition(source)
    assert time.process_time() - began < 1


def test_the_names_that_a_condition_uses_are_those_that_it_looks_at() -> None:
    condition = Condition(
        "facts.a.b['c'] > windows.w1 + windows['w2'] && args.l[0].x == 'windows.w3' "
        "&& args.l.all(facts, facts.inner > args.n) // windows.w4"
    )
    assert condition.windows == {"w1", "w2"}
    expected = {
        ("facts", "a", "b", "c"),
        ("windows", "w1"),
        ("windows", "w2"),
        ("args", "l"),
        ("args", "n"),
    }
    assert condition.paths() == expected


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("facts['''x'''] == 1", {("facts", "x")}),
        ('facts["x"].y == 1', {("facts", "x", "y")}),
        ("facts[args['x']] == 1", {("facts",), ("args", "x")}),
        ("facts['a\\n'] == 1", {("facts",)}),
        ("size(facts).x == 1", {("facts",)}),
        ("size(facts)['x'] == 1", {("facts",)}),
        ("tenant == 'acme'", {("tenant",)}),
        ("args.l.all(i, i.x > args.n)", {("args", "l"), ("args", "n")}),
    ],
)
def test_paths_are_as_long_as_they_are_known(source: str, paths: set[tuple[str, ...]]) -> None:
    assert Condition(source).paths() == paths


def test_what_stands_between_operators_of_one_rank_is_a_sum_where_something_is_added() -> None:
    assert [parse(one).text for one in ("1 - 2 + 3", "1 - 2", "1 + 2")] == ["+", "-", "+"]


def test_a_condition_gives_true_or_false() -> None:
    assert not Condition("args.a > 1").holds(seen(a=1))
    with pytest.raises(TypeError, match="gave a float instead of true or false"):
        Condition("args.a + 1").holds(seen(a=1))


def test_values_are_counted_up_to_a_bound() -> None:
    anything = Condition("true")
    most = MOST_VALUES - 3  # besides the variables, the name, and the list or text itself
    for last, first in (
        ([0] * most, [0] * (most + 1)),
        ("x" * (16 * most + 15), "x" * 16 * (most + 1)),
        ({str(n): 0 for n in range(most // 2)}, {str(n): 0 for n in range(most // 2 + 1)}),
    ):
        assert anything.holds({"args": last})
        with pytest.raises(TooCostly, match="more than 20000 values"):
            anything.holds({"args": first})


def test_values_may_be_nested_up_to_a_bound() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: list[Any] = []
        for _ in range(depth - 1):
            value = [value]
        return {"args": value}

    assert Condition("true").holds(nested(63))
    with pytest.raises(TooCostly, match="levels deep"):
        Condition("true").holds(nested(64))


def seen(**args: Any) -> dict[str, Any]:
    return PolicyInput(args=args).variables()


NUMBERS = list(range(5_000))
COSTLY = {
    "a list for each element": ("args.l.all(a, args.l.all(b, a + b >= 0))", {"l": NUMBERS}),
    "a list made for each element": ("size(args.l.map(a, args.l + args.l)) > 0", {"l": NUMBERS}),
    "doubled again and again": (
        "size([args.l]" + ".map(x, x + x)" * 8 + ") > 0",
        {"l": NUMBERS[:100]},
    ),
    "lists of lists again and again": (
        "size([args.l]" + ".map(x, [x, x])" * 8 + ") > 0",
        {"l": NUMBERS[:100]},
    ),
    "a pattern for each element": (
        "args.l.all(a, !a.matches('(\\\\\\\\w|x){9,50}'))",
        {"l": ["text"] * 2_000},
    ),
    "very many values": ("size(args.l) > 0", {"l": list(range(MOST_VALUES))}),
    "a very long text": ("size(args.l) > 0", {"l": "x" * 16 * MOST_VALUES}),
}


@pytest.mark.parametrize(
    ("source", "args"), [pytest.param(*one, id=name) for name, one in COSTLY.items()]
)
def test_what_would_take_long_on_these_values_is_not_begun(
    source: str, args: dict[str, Any]
) -> None:
    began = time.process_time()
    with pytest.raises(TooCostly):
        Condition(source).holds(seen(**args))
    assert time.process_time() - began < 1


def test_one_condition_may_cost_a_part_of_what_those_of_an_action_may() -> None:
    condition = Condition("args.l.all(a, args.l.all(b, a + b >= 0))")

    def on_ever_more() -> None:
        for size in range(1, 1_000):
            assert condition.holds(seen(l=[0] * size))

    with pytest.raises(TooCostly, match="it would take too long on"):
        on_ever_more()


def test_values_that_are_nested_too_deep_are_not_looked_at() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(TooCostly, match="levels deep"):
        Condition("args.a == 1").holds({"args": deep})


def test_lists_of_an_ordinary_size_are_looked_through() -> None:
    lines = [{"sku": f"s{n}", "price": n / 2, "kinds": ["new", "red"]} for n in range(100)]
    given = seen(lines=lines, most=100.0)
    assert Condition("args.lines.all(l, l.price <= args.most)").holds(given)
    assert Condition("args.lines.exists(l, l.kinds.exists(k, k == 'red'))").holds(given)
    twice = "args.lines.map(l, l.price + 1.0).map(p, p * 2.0).exists(p, p > 100.0)"
    assert Condition(twice).holds(given)
    assert Condition("args.lines.all(a, a.sku.matches('^s[0-9]+$'))").holds(seen(lines=lines[:10]))
    assert Condition("args.lines.all(a, args.lines.exists(b, a == b))").holds(seen(lines=lines[:5]))


def test_sums_are_exact_until_a_condition_looks_at_them() -> None:
    exact = Decimal("0.1") + Decimal("0.2")
    policy_input = PolicyInput(windows={"w": exact})
    assert policy_input.windows == {"w": Decimal("0.3")}
    assert Condition("windows.w <= 0.3").holds(policy_input.variables())


RULES = """
name: strict
version: 1
default: {approve: {roles: [duty]}}
actions:
  pay:
"""


@pytest.mark.parametrize(
    ("rules", "expected", "rule"),
    [
        pytest.param("[{when: facts.x > 1, deny: true}, allow]", "deny", 0, id="a denial"),
        pytest.param("[{when: facts.x > 1, allow: true}, deny]", "deny", 1, id="what comes after"),
        pytest.param(
            "[{when: facts.x > 1, allow: true}, {when: facts.y > 1, deny: true}, allow]",
            "deny",
            1,
            id="several that fail",
        ),
        pytest.param(
            "[{when: facts.x > 1, allow: true}, {when: args.no, allow: true}, allow]",
            "approve",
            None,
            id="nothing but what is allowed",
        ),
        pytest.param(
            "[{when: facts.x > 1, approve: {roles: [a]}}, {approve: {roles: [b], quorum: 2}}]",
            "approve",
            1,
            id="the approval that asks for more",
        ),
        pytest.param(
            "[{when: facts.x > 1, approve: {roles: [a], on_expiry: allow}}, "
            "{when: facts.x > 0, approve: {roles: [b]}}, allow]",
            "approve",
            1,
            id="the approval that silence does not give",
        ),
        pytest.param(
            "[{when: facts.x > 1, approve: {roles: [a]}}, {when: 'true', allow: true}, deny]",
            "approve",
            0,
            id="not what comes after a rule that matches",
        ),
        pytest.param("[{when: 'true', allow: true}, {when: facts.x > 1, deny: true}]", "allow", 0),
        pytest.param(
            "[{when: facts.x > 1, approve: {roles: [a], quorum: 3}}, deny]",
            "deny",
            1,
            id="a denial before an approval of many",
        ),
    ],
)
def test_where_a_condition_fails_the_strictest_rule_that_could_match_counts(
    rules: str, expected: str, rule: int | None
) -> None:
    policy = load_policy(f"{RULES}    {rules}\n", source="strict.yaml")
    verdict = policy.verdict("pay", PolicyInput(args={"no": None}))

    assert verdict.kind == expected
    if rule is not None:
        assert verdict.rule == f"pay[{rule}]"
    assert (verdict.approve is not None) is (expected == "approve")


def test_what_may_be_allowed_or_not_is_asked_of_those_whom_the_default_asks() -> None:
    rules = "[{when: facts.x > 1, allow: true}, allow]"
    for default, roles in (("{approve: {roles: [duty]}}", ("duty",)), ("allow", ("support",))):
        text = f"name: a\nversion: 1\ndefault: {default}\nactions: {{pay: {rules}}}\n"
        verdict = load_policy(text, source="a.yaml").verdict("pay", PolicyInput())
        assert verdict.approve is not None
        assert verdict.approve.roles == roles


def test_a_condition_that_is_too_costly_counts_as_one_that_fails() -> None:
    text = f"{RULES}    [{{when: 'size(args.l) > 30000', deny: true}}, allow]\n"
    policy = load_policy(text, source="strict.yaml")
    assert policy.verdict("pay", PolicyInput(args={"l": list(range(30_000))})).kind == "deny"
    assert policy.verdict("pay", PolicyInput(args={"l": []})).kind == "allow"


def test_why_a_condition_fails_is_told_without_the_values() -> None:
    text = f"{RULES}    [{{when: args.secret > 1, deny: true}}, allow]\n"
    policy = load_policy(text, source="strict.yaml")
    verdict = policy.verdict("pay", PolicyInput(args={"secret": "4111 1111"}))
    assert verdict.reason is not None
    assert "4111" not in verdict.reason
    assert "args.secret > 1" in verdict.reason
