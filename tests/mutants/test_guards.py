"""Guards that are taken out, and the tests that notice: a few of the table here, all by `make mutants`."""

import random
from collections.abc import Iterator

import pytest

from holdfast.runtime.settings import Settings
from tests.mutants.guards import GUARDS, Guard
from tests.mutants.rooms import ROOMS
from tests.mutants.trees import FAILED, ROOT, Tree, open_tree

_SEED = 10
_DRAWN = 6


@pytest.fixture(scope="module")
def tree(stack_settings: Settings) -> Iterator[Tree]:
    """A copy whose tests share this run's servers."""
    with open_tree() as opened:
        yield opened


def require_noticed(tree: Tree, guard: Guard) -> None:
    code, said = tree.run(guard.removed(), guard.tests)
    assert code == FAILED, f"without {guard.promise!r} the tests exit with {code}:\n{said}"


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.promise)
def test_a_guard_is_in_its_file_once_and_its_tests_are_there(guard: Guard) -> None:
    guard.removed()
    for test in guard.tests:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text()
        assert not name or f"def {name}(" in text


def test_every_room_and_its_tests_are_there() -> None:
    tests = [test for room in ROOMS for test in (*room.tests, *room.later)]
    named = {test.removeprefix("--deselect=").partition("::")[0] for test in tests}
    paths = {room.path for room in ROOMS} | named
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.timeout(300)
def test_tests_go_red_without_the_guards_that_the_seed_draws(tree: Tree) -> None:
    soon = [guard for guard in GUARDS if not guard.waits]
    for guard in random.Random(_SEED).sample(soon, k=_DRAWN):
        require_noticed(tree, guard)


@pytest.mark.mutants
@pytest.mark.timeout(600)
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.promise)
def test_tests_go_red_without_a_guard(tree: Tree, guard: Guard) -> None:
    require_noticed(tree, guard)
