"""Modules that guard something, changed one thing at a time: their tests notice, or it is accepted with a
reason in `accepted.yaml`. `make mutants` runs this."""

import ast
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from holdfast.runtime.settings import Settings
from tests.mutants.mutations import mutants_of
from tests.mutants.rooms import ROOMS, Room
from tests.mutants.trees import PASSED, ROOT, Mutant, Tree, open_tree

_ACCEPTED: dict[str, dict[str, str]] = yaml.safe_load(
    (Path(__file__).parent / "accepted.yaml").read_text()
)


@pytest.fixture(scope="module")
def tree(stack_settings: Settings) -> Iterator[Tree]:
    """A copy whose tests share this run's servers."""
    with open_tree() as opened:
        yield opened


def name_of(room: Room) -> str:
    return f"{room.path} (SQL)" if room.sql_only else room.path


def seconds_of(tree: Tree, room: Room, tests: Sequence[str]) -> float:
    """How long the tests may take with a mutant; without, they pass."""
    begun = time.monotonic()
    code, said = tree.run(Mutant(room.path, "as it is", (ROOT / room.path).read_text()), tests)
    assert code == PASSED, said
    return 20.0 + 5 * (time.monotonic() - begun)


@pytest.mark.mutants
@pytest.mark.timeout(0)
@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_no_mutant_survives_that_was_not_accepted(tree: Tree, room: Room) -> None:
    accepted = _ACCEPTED.get(room.path, {})
    mutants = mutants_of(room.path, sql_only=room.sql_only)
    alone = (f"--confcutdir={room.alone}",) if room.alone else ()
    stages = [(*stage, *alone) for stage in (room.tests, room.later) if stage]
    limits = [seconds_of(tree, room, stage) for stage in stages]

    def survives(mutant: Mutant) -> bool:
        return all(
            tree.run(mutant, stage, seconds=limit)[0] == PASSED
            for stage, limit in zip(stages, limits, strict=True)
        )

    survivors = []
    for one in mutants:
        if room.path.endswith(".py"):
            ast.parse(one.text)  # what cannot be read would not be noticed by a test
        if survives(one):
            survivors.append(one.name)
            print(f"{room.path} survives {one.name}", flush=True)
    surprising = [name for name in survivors if name not in accepted]
    assert surprising == [], f"{len(surprising)} of {len(mutants)} survive"
    if not room.sql_only:
        assert accepted.keys() - set(survivors) == set(), "accepted, and not surviving"


def test_every_module_that_is_changed_has_mutants_with_names_of_their_own() -> None:
    for room in ROOMS:
        names = [one.name for one in mutants_of(room.path, sql_only=room.sql_only)]
        assert len(set(names)) == len(names), room.path
        for test in (*room.tests, *room.later):
            file = test.removeprefix("--deselect=").partition("::")[0]
            assert (ROOT / file).exists()


def test_what_is_accepted_has_a_reason() -> None:
    for path, names in _ACCEPTED.items():
        assert path in {room.path for room in ROOMS}
        assert all(reason.strip() for reason in names.values())
