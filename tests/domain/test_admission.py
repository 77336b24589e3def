"""Who is let in: everybody while there is room, then whoever has less than an equal share."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.admission import has_room

TENANTS = st.sampled_from("abcdefgh")
LOADS = st.dictionaries(TENANTS, st.integers(1, 200), max_size=8)


@given(LOADS, TENANTS, st.integers(1, 200))
def test_whoever_has_nothing_is_let_in(load: dict[str, int], tenant: str, capacity: int) -> None:
    assert has_room(tenant, {**load, tenant: 0}, capacity)


@given(LOADS, TENANTS, st.integers(1, 200))
def test_everybody_is_let_in_while_there_is_room(
    load: dict[str, int], tenant: str, capacity: int
) -> None:
    if sum(load.values()) < capacity:
        assert has_room(tenant, load, capacity)


@given(st.lists(TENANTS, max_size=300), st.integers(1, 100))
def test_all_together_have_little_more_than_the_capacity(asking: list[str], capacity: int) -> None:
    load: dict[str, int] = {}
    for tenant in asking:
        if has_room(tenant, load, capacity):
            load[tenant] = load.get(tenant, 0) + 1
    for tenant, messages in load.items():
        assert messages <= capacity, tenant
    assert sum(load.values()) <= 2 * capacity + len(load)


@given(st.integers(4, 200), st.integers(1, 3))
def test_one_who_floods_does_not_keep_out_the_others(capacity: int, others: int) -> None:
    load = {"flood": capacity}
    share = capacity // (others + 1)
    for _ in range(share):
        for other in range(others):
            assert has_room(f"other-{other}", load, capacity)
            load[f"other-{other}"] = load.get(f"other-{other}", 0) + 1
    assert not has_room("flood", load, capacity)
