"""What an installation holds at a moment: memory of its processes, bytes of its files."""

from collections.abc import Callable
from dataclasses import dataclass

import psutil

from bench.stack import BenchStack


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """In bytes. Memory is resident; pages that Postgres' processes share count once."""

    worker: int
    temporal: int
    postgres: int
    postgres_files: int
    temporal_files: int


PARTS: tuple[tuple[str, Callable[[Footprint], int]], ...] = (
    ("memory of the worker", lambda one: one.worker),
    ("memory of Temporal", lambda one: one.temporal),
    ("memory of Postgres", lambda one: one.postgres),
    ("files of Postgres", lambda one: one.postgres_files),
    ("files of Temporal", lambda one: one.temporal_files),
)
"""What a table calls them."""


async def footprint_of(stack: BenchStack) -> Footprint:
    """What a stack holds now."""
    processes = stack.processes()
    return Footprint(
        worker=sum(one.memory_info().rss for one in processes["workers"]),
        temporal=sum(one.memory_info().rss for one in processes["temporal"]),
        postgres=sum(map(_family_bytes, processes["postgres"])),
        postgres_files=await stack.database_bytes(),
        temporal_files=stack.temporal_bytes(),
    )


def _family_bytes(process: psutil.Process) -> int:
    """A process and those below it."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            full = one.memory_full_info()
        except psutil.NoSuchProcess:  # a connection that has just ended
            continue
        total += getattr(full, "pss", full.rss)  # only Linux tells what is shared
    return total
