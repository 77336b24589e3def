"""Which modules are changed, and which tests have to notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """A module and the arguments of pytest for its tests; `later` are those that take longer, and are run
    where the others have not noticed. With `sql_only` its SQL alone is changed. The conftest files above the
    folder `alone` are not read: tests that need no servers begin sooner without."""

    path: str
    tests: tuple[str, ...]
    later: tuple[str, ...] = ()
    sql_only: bool = False
    alone: str | None = None


_APPROVAL = "tests/domain/test_approval.py"
_POLICY = ("tests/domain/policy",)
_SIGNED, _KEYS = "tests/security/test_statements.py", "tests/security/test_keys.py"
_PERMISSION = ("tests/activities/test_permission.py", "tests/shop/test_permission.py")
_TURNS = ("tests/activities/test_taking_turns.py",)
_WINDOWS = ("tests/activities/test_windows.py",)
_DECIDING = ("tests/workflows/test_deciding.py", "tests/workflows/test_approvals.py")
_TENANCY = ("tests/store/test_tenancy.py",)

ROOMS: tuple[Room, ...] = (
    *(
        Room(
            f"holdfast/domain/{name}.py",
            (_APPROVAL, f"--deselect={_APPROVAL}::TestDeciding"),
            later=(f"{_APPROVAL}::TestDeciding",),
            alone="tests/domain",
        )
        for name in ("approval", "participants", "shown", "terms", "transitions")
    ),
    *(
        Room(f"holdfast/domain/policy/{name}.py", _POLICY, alone="tests/domain")
        for name in (
            "conditions",
            "durations",
            "expressions",
            "nodes",
            "numbers",
            "rules",
            "working_time",
        )
    ),
    *(
        Room(
            f"holdfast/domain/policy/{name}.py",
            (f"tests/domain/policy/test_{name}.py",),
            alone="tests/domain",
        )
        for name in ("cases", "name_check")
    ),
    *(
        Room(f"holdfast/security/{name}.py", (_SIGNED,), alone="tests/security")
        for name in ("statements", "tokens")
    ),
    *(
        Room(f"holdfast/security/{name}.py", (_KEYS,), later=(_SIGNED,), alone="tests/security")
        for name in ("bounds", "development_keys", "jwk", "signing_key", "verification_keys")
    ),
    Room(
        "activities/actions.py",
        ("tests/activities/test_actions.py", *_PERMISSION),
        later=(
            *_DECIDING,
            "tests/activities/test_remote_actions.py",
            "tests/recovery/test_bounds.py",
            "tests/worker/test_fleets.py",
        ),
    ),
    Room(
        "activities/permission.py",
        (*_PERMISSION, "tests/activities/test_actions.py"),
        later=_DECIDING,
    ),
    Room("activities/rehearsal.py", _PERMISSION, later=_DECIDING),
    Room("activities/policy_input.py", _PERMISSION, later=_DECIDING),
    Room("activities/action_ends.py", _PERMISSION, later=(*_DECIDING, "tests/activities")),
    Room("activities/lock_retries.py", _TURNS),
    Room("holdfast/store/subjects.py", _PERMISSION, later=_TURNS),
    Room("holdfast/store/locks.py", _PERMISSION, later=_TURNS),
    Room("holdfast/store/windows.py", (*_PERMISSION, *_WINDOWS), later=_DECIDING),
    Room("holdfast/store/steps.py", ("tests/store/test_steps.py",), later=("tests/workflows",)),
    Room("holdfast/store/results.py", ("tests/store/test_steps.py",), later=("tests/workflows",)),
    Room(
        "holdfast/store/attempt_fence.py",
        ("tests/activities/test_late_attempts.py",),
        later=("tests/workflows/test_operations.py",),
    ),
    Room("holdfast/llm/ledger.py", ("tests/llm/test_step_ledger.py",), later=("tests/recovery",)),
    Room("workflows/intake.py", ("tests/workflows/test_intake.py",), alone="tests/workflows"),
    *(
        Room(f"holdfast/store/sql/{name}.sql", (*_TENANCY, *more), sql_only=True)
        for name, *more in (
            ("approvals",),
            ("begin_step", "tests/store/test_steps.py"),
            ("commit_step", "tests/store/test_steps.py"),
            ("equal_action",),
            ("read_load",),
            ("recent_actions",),
            ("search_knowledge",),
            ("spellings",),
            ("standing",),
            ("sum_of_window", *_WINDOWS, *_PERMISSION),
            ("wanted_approvals",),
        )
    ),
    *(
        Room(f"holdfast/store/{name}.py", _TENANCY, sql_only=True)
        for name in (
            "action_history",
            "actions",
            "approvals",
            "audit",
            "compensation",
            "conversations",
            "decisions",
            "deliveries",
            "events",
            "fleet",
            "knowledge",
            "llm_calls",
            "notices",
            "policies",
            "steps",
            "transcript",
            "turns",
            "windows",
        )
    ),
)
