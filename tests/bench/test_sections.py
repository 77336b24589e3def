"""The sections on growth, waiting, recovery, scale-out and overload: their smallest runs, and how numbers are made."""

import pytest

from bench import growth, overload, recovery, scaling, search, waiting
from bench.footprint import Footprint
from bench.growth import Grown, Plan, Window, grow
from bench.recovery import AnsweredTurn, Recovered, recover
from bench.scaling import History, Level, Measured, Writes, measure_workers, needs_table
from bench.stack import bench_stack
from bench.waiting import Waited, wait


async def test_a_conversation_that_spans_runs_is_measured_within_one() -> None:
    plan = Plan(
        conversations=1,
        turns_per_run=4,
        early=Window(first=2, last=3),
        early_stored=Window(first=4, last=5),
        late_stored=Window(first=6, last=7),
        late=Window(first=10, last=11),
    )
    async with bench_stack() as stack:
        grown = await grow(stack, plan)

    assert grown.early.turns == grown.late.turns == grown.fresh.turns == 2
    assert grown.early.history_events == grown.late.history_events > 0
    assert len(grown.runs) == 3
    assert grown.late.history_bytes == pytest.approx(grown.early.history_bytes, rel=0.1)


def test_growth_is_the_late_turns_beside_the_early_ones() -> None:
    window = Window(first=6, last=7)
    grown = Grown(
        plan=Plan(
            conversations=1,
            turns_per_run=200,
            early=window,
            early_stored=Window(first=8, last=9),
            late_stored=Window(first=10, last=11),
            late=Window(first=12, last=13),
        ),
        early=growth.Measured(latencies=[0.1, 0.1], history_bytes=4_000),
        late=growth.Measured(latencies=[0.2, 0.2], history_bytes=5_000),
        fresh=growth.Measured(latencies=[0.16, 0.16], history_bytes=4_000),
        early_stored=3_000.0,
        late_stored=3_600.0,
        runs=(),
    )

    ratios = growth.section(grown).ratios

    assert [ratio.value for ratio in ratios] == [pytest.approx(one) for one in (1.25, 2, 1.25, 1.2)]
    assert not any(ratio.holds for ratio in ratios)


@pytest.mark.soak
async def test_conversations_that_wait_are_counted_and_woken_in_every_way() -> None:
    level = waiting.Level(parked=14, cached=10, woken=2, decided=3, warm_ups=2)
    async with bench_stack() as stack:
        waited = await wait(stack, level)

    assert level.evicts
    assert [len(waited.cached), len(waited.evicted), len(waited.restarted)] == [2, 2, 2]
    assert len(waited.decisions) == 3
    assert waited.after.temporal_files > 0
    assert waited.after.postgres_files >= waited.before.postgres_files > 0


@pytest.mark.soak
async def test_a_killed_worker_costs_a_second_call_of_its_own_turns_only() -> None:
    async with bench_stack() as stack:
        recovered = await recover(stack, survivors=1, turns=4, name="test")

    assert len(recovered.turns) == 4
    assert recovered.repeated_calls == recovered.lost
    assert recovered.needless_calls == 0


async def test_a_level_of_workers_tells_what_a_turn_takes() -> None:
    async with bench_stack() as stack:
        client = await stack.client(scaling.TENANT)
        measured = await measure_workers(stack, client, Level(conversations=2, turns=2), workers=1)

    assert len(measured.latencies) == 4
    assert measured.turns_a_second > 0
    assert measured.cpu["workers"] > 0
    assert measured.own_share > 0
    assert 0 < measured.busy <= 1
    assert measured.written.rows_inserted > measured.written_turns
    assert measured.history.events > 0
    assert measured.history.transitions > 0


def test_needs_are_what_a_turn_takes_times_the_turns() -> None:
    written = Writes(
        transactions=60,
        rows_inserted=100,
        rows_updated=50,
        rows_deleted=0,
        wal_bytes=60_000,
        stored_bytes=30_000,
    )
    measured = Measured(
        workers=1,
        latencies=(0.1,) * 4,
        seconds=2.0,
        cpu={"workers": 0.08, "temporal": 0.06, "postgres": 0.02, "client": 0.01, "model": 0.01},
        busy=0.9,
        cores=2,
        written=written,
        written_turns=10,
        history=History(transitions=5, events=11, bytes=2_000),
    )

    rows: dict[object, tuple[object, ...]] = {
        row[0]: row[1:] for row in needs_table(measured, 1_000).rows
    }

    assert measured.own_share == pytest.approx(0.18 / (2 * 2.0))
    assert rows["CPU of workers"] == (pytest.approx(20), "ms", pytest.approx(20), "cores")
    assert rows["transactions in Postgres"] == (6.0, "", 6_000.0, "a second")
    assert rows["WAL of Postgres"] == (6_000.0, "bytes", pytest.approx(6), "MB a second")
    assert rows["tables and indexes"] == (3_000.0, "bytes", pytest.approx(259.2), "GB a day")
    assert rows["events of history"] == (11.0, "", 11_000.0, "a second")


def test_a_model_call_that_is_repeated_for_a_turn_of_a_living_worker_is_needless() -> None:
    lost = AnsweredTurn(seconds=6.0, lost_worker=True, calls=2)
    kept = AnsweredTurn(seconds=2.1, lost_worker=False, calls=2)

    recovered = Recovered(survivors=1, turns=(lost, kept), repeated_calls=2)

    assert recovered.needless_calls == 1
    assert recovered.all_answered == 6.0
    assert recovered.last_of(lost_worker=False) == 2.1


def test_the_slope_of_waiting_is_that_of_the_conversations_between_two_levels() -> None:
    def waited(parked: int, mib: int) -> Waited:
        before = Footprint(worker=0, temporal=0, postgres=0, postgres_files=0, temporal_files=0)
        after = Footprint(
            worker=mib << 20, temporal=0, postgres=0, postgres_files=0, temporal_files=0
        )
        return Waited(
            level=waiting.Level(parked=parked, cached=1_000, woken=1, decided=1),
            parking=1.0,
            before=before,
            after=after,
            cached=(0.05,),
            evicted=(0.1,),
            restarted=(1.1,),
            decisions=(0.2,),
            deciding=0.5,
        )

    section = waiting.section((waited(1_024, 100), waited(2_048, 150)))

    slopes: dict[object, tuple[object, ...]] = {row[0]: row[1:] for row in section.tables[1].rows}
    assert slopes["memory of the worker"] == (pytest.approx(100), pytest.approx(50))


def test_every_section_has_the_name_that_it_is_run_by() -> None:
    sections = (growth, waiting, recovery, scaling)

    assert [one.NAME for one in sections] == ["growth", "waiting", "recovery", "scaling"]


@pytest.mark.soak
async def test_what_an_overloaded_machine_answers_and_refuses_is_counted() -> None:
    async with bench_stack() as stack:
        await stack.start_worker(HOLDFAST_CONCURRENT_SUBGRAPHS="8")
        alone, peak, levels = await overload.measure_levels(stack, 2.0, (5,))

    assert alone.offered == 0
    assert peak.refused == {}
    assert peak.goodput > 0
    (five,) = levels
    assert five.offered > peak.offered
    assert five.refused["Overloaded"] > 0
    assert five.offered == len(five.answered) + sum(five.refused.values())
    assert (peak.lost, five.lost) == (0, 0)


async def test_every_kind_of_long_message_is_searched_for() -> None:
    section = await search.measure(quick=True)

    (table,) = section.tables
    assert len(table.rows) == 9
    assert [ratio.aim for ratio in section.ratios] == [50.0]
