"""What a policy file may hold: whatever loads can be worked with, and what can't is refused with its line."""

import pytest

from holdfast.domain.errors import PolicyError
from holdfast.domain.policy import Policy, PolicyInput, load_policy

HEAD = "name: shop\nversion: 1\n"
HOURS = "working_time: {zone: Europe/Berlin, hours: {mon: '09:00-09:01'}, holidays: HOLIDAYS}\n"
DAYS = [f"{2000 + n // 336}-{1 + n // 28 % 12:02d}-{1 + n % 28:02d}" for n in range(4_500)]
SMILE = "\N{SMILING FACE WITH SUNGLASSES}"


def load(text: str) -> Policy:
    return load_policy(text, source="shop.yaml")


def asking(options: str, more: str = "") -> str:
    return f"{HEAD}{more}actions:\n  pay:\n  - allow\n  - approve:\n      roles: [a]\n      {options}\n"


def listed(number: int, prefix: str = "r") -> str:
    return "[" + ", ".join(f"{prefix}{n}" for n in range(number)) + "]"


def steps(number: int, roles: int = 1) -> str:
    one = ", ".join(f"{{after: {n + 1}s, roles: {listed(roles)}}}" for n in range(number))
    return f"escalate: [{one}]"


def rules(number: int, rule: str) -> str:
    return f"{HEAD}actions:\n  pay:\n" + f"  - {rule}\n" * number


def spans(hour: int) -> str:
    """Twelve within that hour."""
    return ", ".join(f"'{hour:02d}:{n:02d}-{hour:02d}:{n + 1:02d}'" for n in range(0, 24, 2))


def windows(number: int, actions: str = "[pay]", amount: str = "args.a") -> str:
    some = (
        f"  w{n}: {{amount: {amount}, actions: {actions}, within: 1d}}\n" for n in range(number)
    )
    return f"{HEAD}windows:\n{''.join(some)}"


def pattern(text: str) -> str:
    return rules(1, f"{{when: \"args.x.matches(r'{text}')\", deny: true}}".replace("\\", "\\\\"))


BURN = "{when: \"args.x.matches(r'\\\\w{99}')\", deny: true}"
WORKING = "working_time: true\n      expire_after: "

REFUSED = {
    "a version that no table holds": ("name: a\nversion: 2147483648\n", 2, "version"),
    "a version without end": (f"name: a\nversion: {'9' * 400}\n", 2, "version"),
    "a long name": (f"version: 1\nname: {'n' * 101}\n", 2, "name"),
    "a long role": (f"{HEAD}default:\n  approve:\n    roles: [{'r' * 65}]\n", 5, "roles"),
    "many roles": (f"{HEAD}default:\n  approve:\n    roles: {listed(21)}\n", 5, "roles"),
    "many escalations": (asking(steps(11)), 8, "escalate"),
    "many roles over escalations": (asking(steps(10, roles=5)), 6, "together"),
    "a long reason": (f"{HEAD}default:\n  deny: true\n  reason: {'x' * 2_001}\n", 5, "reason"),
    "many rules": (rules(501, "allow"), 3, "more than 500 rules"),
    "many windows": (windows(51), 3, "windows"),
    "a window over many actions": (windows(1, listed(101)), 4, "actions"),
    "a window over a long path": (windows(1, amount=f"args{'.a' * 100}"), 4, "amount"),
    "many things repeated": (
        f"{HEAD}repeats:\n" + "".join(f"  a{n}: allow\n" for n in range(501)),
        3,
        "repeats",
    ),
    "a rule that aliases repeat": (
        f"{HEAD}actions:\n  one: &one [{{when: '{'true || ' * 240}true', deny: true}}]\n"
        + "".join(f"  a{n}: *one\n" for n in range(40)),
        3,
        "characters together",
    ),
    "patterns that are dear together": (rules(17, BURN), 3, "too long together"),
    "patterns of many actions that are dear together": (
        f"{HEAD}actions:\n" + "".join(f"  a{n}: [{BURN}]\n" for n in range(17)),
        3,
        "fewer repetitions",
    ),
    "a pattern that is dear for each element": (
        rules(
            1,
            "{when: \"['a', 'b', 'c'].exists(x, x.matches(r'(\\\\w\\\\pL\\\\pN){99}'))\", deny: true}",
        ),
        5,
        "too long",
    ),
    "a pattern that repeats with blanks": (pattern(r"(a{ 50 }){ 50 }"), 5, "repetitions"),
    "a pattern whose repetitions can't be told": (pattern(r"(?ix)\w{9 9}"), 5, "flag x"),
    "many holidays": (HEAD + HOURS.replace("HOLIDAYS", f"[{', '.join(DAYS)}]"), 3, "holidays"),
    "a day of many spans": (
        f"{HEAD}working_time:\n  zone: UTC\n  hours: {{mon: ["
        + ", ".join(f"'09:{n * 2:02d}-09:{n * 2 + 1:02d}'" for n in range(13))
        + "]}\n",
        5,
        "hours",
    ),
    "a day of many spans by several names": (
        f"{HEAD}working_time:\n  zone: UTC\n  hours:\n    mon: [{spans(9)}]\n    mon-tue: [{spans(10)}]\n",
        3,
        "more than 12 spans",
    ),
    "hours in a zone of their own": (
        f"{HEAD}working_time:\n  zone: UTC\n  hours: {{mon: '09:00+02:00-17:00'}}\n",
        3,
        "time zone of its own",
    ),
    "hours of no length": (
        f"{HEAD}working_time:\n  zone: UTC\n  hours: {{mon: '09:00-09:00'}}\n",
        3,
        "no working hours",
    ),
    "more working time than there is": (
        asking(f"{WORKING}3000d", HOURS.replace("HOLIDAYS", "[]")),
        10,
        "ten years",
    ),
    "holidays on all days that count": (
        HEAD
        + HOURS.replace("HOLIDAYS", f"[{', '.join(f'2026-11-{n:02d}' for n in range(1, 31))}]")
        + "default:\n  approve:\n    roles: [a]\n    working_time: true\n    expire_after: 496m\n",
        8,
        "ten years",
    ),
}


@pytest.mark.parametrize(
    ("text", "line", "problem"), [pytest.param(*one, id=name) for name, one in REFUSED.items()]
)
def test_what_could_not_be_worked_with_is_refused_with_its_line(
    text: str, line: int, problem: str
) -> None:
    with pytest.raises(PolicyError, match=problem) as caught:
        load(text)
    assert str(caught.value).startswith(f"shop.yaml:{line}:")


LOADED = {
    "the highest version": "name: a\nversion: 2147483647\n",
    "the longest name": f"version: 1\nname: {'n' * 100}\n",
    "the longest roles": f"{HEAD}default: {{approve: {{roles: ['{SMILE * 64}']}}}}\n",
    "as many roles as may be": f"{HEAD}default: {{approve: {{roles: {listed(20)}}}}}\n",
    "as many escalations as may be": asking(steps(9, roles=5) + "\n      quorum: 2"),
    "as many rules as may be": rules(500, "{when: 'args.a > 1', deny: true}"),
    "as many windows as may be": windows(50, listed(100)),
    "dear patterns, as many as may be": rules(16, BURN),
    "as many holidays as may be": HEAD
    + HOURS.replace("HOLIDAYS", f"[{', '.join(DAYS[:1_000])}]")
    + "default: {approve: {roles: [a], working_time: true, expire_after: 300m}}\n",
    "as much working time as there surely is": asking(
        f"{WORKING}500m", HOURS.replace("HOLIDAYS", "[]")
    ),
}


@pytest.mark.parametrize("text", LOADED.values(), ids=LOADED.keys())
def test_what_may_just_be_is_taken(text: str) -> None:
    assert load(text).version >= 1


def test_of_many_problems_some_are_said() -> None:
    with pytest.raises(PolicyError) as caught:
        load(rules(400, "perhaps"))
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (51, "shop.yaml:1: and 350 more problems")


def test_the_conditions_on_one_action_are_evaluated_within_what_they_may_cost_together() -> None:
    deny = "{when: \"args.l.exists(x, x.matches(r'\\\\w{5}!'))\", deny: true}"
    policy = load(rules(20, deny).replace("name:", "default: allow\nname:"))
    tried, said = policy.explain("pay", PolicyInput(args={"l": ["abcdef"] * 20}))
    evaluated = [one for one in tried if one.error is None]
    assert 1 < len(evaluated) < 20
    assert {one.error for one in tried[len(evaluated) :]} == {
        "the conditions before it have cost what those of one action may"
    }
    assert said.kind == "deny"
    tried, said = policy.explain("pay", PolicyInput(args={"l": ["abcdef"]}))
    assert ({one.error for one in tried}, said.kind) == ({None}, "allow")


def test_the_reason_of_a_verdict_stays_short_however_many_conditions_fail() -> None:
    policy = load(rules(300, "{when: \"args.nothing == '" + "x" * 100 + "'\", deny: true}"))
    said = policy.verdict("pay", PolicyInput())
    assert said.kind == "deny"
    assert said.reason is not None
    assert said.reason.endswith(" and 295 more.")
    assert len(said.reason) < 1_000
