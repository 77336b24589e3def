"""How much is let in at a time, and whose: what more there is is refused at once, not late."""

from collections.abc import Mapping

TURNS_FOR_EACH_STEP = 2
"""Turns that are let in for each step that the workers can run at a time: one runs, one waits."""

UNKNOWN_CAPACITY = 50
"""The steps at a time that are counted on while no worker has said what it can do."""


def has_room(tenant: str, under_way: Mapping[str, int], capacity: int) -> bool:
    """Whether one more message of the tenant is let in.

    While there is room, everybody is. Beyond, whoever has less than the share that all could have who want
    that much (max-min fairness): one who floods leaves room for the others, and a small one finds it.
    """
    if sum(under_way.values()) < capacity:
        return True
    wanted = {**under_way, tenant: under_way.get(tenant, 0) + 1}
    return wanted[tenant] <= _share(sorted(wanted.values()), capacity)


def _share(wanted: list[int], capacity: int) -> int:
    """The most that each may have so that all together have no more than `capacity`, yet at least one."""
    left = capacity
    for index, want in enumerate(wanted):
        equal = left // (len(wanted) - index)
        if want > equal:
            return max(1, equal)
        left -= want
    return max(wanted)
