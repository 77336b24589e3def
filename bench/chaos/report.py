"""What a run has found, as JSON and Markdown."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from bench.chaos.oracle.verdict import Wrong
from bench.report import Machine, Ratio, Section, Table, percentile, section_lines

_HOW = """\
{conversations} conversations, {at_once} at a time, of {workers} worker processes, while workers, clients, \
Temporal and Postgres are killed (SIGKILL), frozen (SIGSTOP, workers for longer than they are waited for) and \
restarted at random moments, and workers kill themselves at named fault points. Messages are doubled, reordered, \
repeated, interrupted and cancelled, decisions taken twice and against each other, conversations closed and \
reopened; customers have two to four conversations at once about the same orders; each conversation continues as \
new after {turns_per_run} turns. The seed fixes what is said and which harm is drawn; the moments differ from run \
to run. Afterwards everything is counted on the far side of each boundary."""


_WORKER_KILLED = "worker killed"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Durations(_Frozen):
    """How long something took, in seconds: `count` times after `what`."""

    what: str
    count: int
    p50: float
    p95: float
    max: float

    @classmethod
    def of(cls, what: str, seconds: list[float]) -> "Durations":
        """The figures of these durations, of which there is at least one."""
        return cls(
            what=what,
            count=len(seconds),
            p50=percentile(seconds, 0.5),
            p95=percentile(seconds, 0.95),
            max=max(seconds),
        )


class Problem(_Frozen):
    """Something that should not be."""

    kind: Wrong
    what: str


class ChaosReport(_Frozen):
    """A whole run."""

    machine: Machine
    started: datetime
    seed: int
    minutes: float
    seconds: float
    workers: int
    at_once: int
    """Conversations that go on at the same time."""
    turns_per_run: int
    harm: dict[str, int]
    """Kills and freezes by kind; a kill at a fault point has that in its name."""
    kills: int
    conversations: int
    retail_tasks: int
    turns: int
    actions: int
    checked: dict[str, int]
    model_calls: int
    model_calls_repeated: int
    """Calls at the endpoint beyond those that the ledger has."""
    model_call_keys_repeated: int
    most_calls_of_a_key: int
    degraded_calls: int
    """Calls that the offline model answered, since the endpoint did not."""
    model_calls_repeated_after: dict[str, int]
    """The repeated ones by the kind of harm that came last before them."""
    recovery: tuple[Durations, ...]
    """From a kill to the next progress of each conversation that it affected, by victim."""
    follow_ups: tuple[Durations, ...]
    """From the decision on an approval to the message that follows, in peace and under harm."""
    lost: int
    duplicated: int
    diverged: int
    forbidden: int
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, duplicated, different or forbidden."""
        return not self.problems

    def markdown(self) -> str:
        """The report as a page."""
        machine = self.machine
        versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
        lines = [
            f"`python -m bench.chaos --seed {self.seed} --minutes {self.minutes:g} --workers {self.workers}`, "
            f"{self.started:%Y-%m-%d}, {self.seconds:.0f} s in all, on {machine.cores} cores of "
            f"{machine.processor}, {machine.memory_gib:g} GiB, {machine.system}, "
            f"Python {machine.python}, {versions}.",
            "",
            *section_lines(self._section()),
        ]
        if self.problems:
            lines += [
                "",
                "**Problems**",
                "",
                *(f"- {one.kind}: {one.what}" for one in self.problems),
            ]
        return "\n".join(lines) + "\n"

    @property
    def _workers_killed(self) -> int:
        return sum(times for name, times in self.harm.items() if name.startswith(_WORKER_KILLED))

    def _section(self) -> Section:
        return Section(
            name="chaos",
            title="Chaos",
            how=_HOW.format(
                conversations=self.conversations,
                workers=self.workers,
                at_once=self.at_once,
                turns_per_run=self.turns_per_run,
            ),
            ratios=(
                Ratio(name="lost", value=self.lost, aim=0),
                Ratio(name="duplicated", value=self.duplicated, aim=0),
                Ratio(name="diverged", value=self.diverged, aim=0),
                Ratio(name="forbidden", value=self.forbidden, aim=0),
                Ratio(
                    name="model calls repeated for each worker that was killed",
                    value=self.model_calls_repeated_after.get(_WORKER_KILLED, 0)
                    / max(1, self._workers_killed),
                    aim=1,
                ),
                Ratio(
                    name="model calls repeated for each kill of anything",
                    value=self.model_calls_repeated / max(1, self.kills),
                ),
                *(
                    Ratio(
                        name="seconds from the kill of a worker to progress, p95",
                        value=one.p95,
                        aim=6,
                    )
                    for one in self.recovery
                    if one.what == "worker"
                ),
            ),
            tables=(
                Table(
                    title="What went on",
                    columns=("", "count"),
                    rows=(
                        ("conversations", self.conversations),
                        ("of these, retail tasks", self.retail_tasks),
                        ("turns", self.turns),
                        ("actions", self.actions),
                        ("model calls", self.model_calls),
                        ("model calls repeated", self.model_calls_repeated),
                        ("most calls of one ledger key", self.most_calls_of_a_key),
                        ("model calls answered offline", self.degraded_calls),
                    ),
                ),
                Table(
                    title="Harm",
                    columns=("", "times"),
                    rows=tuple(sorted(self.harm.items())),
                ),
                Table(
                    title="Model calls repeated, by the harm before",
                    columns=("", "calls"),
                    rows=tuple(sorted(self.model_calls_repeated_after.items())),
                ),
                Table(
                    title="Seconds from a kill to the next progress of a conversation it affected",
                    columns=("killed", "conversations", "p50", "p95", "max"),
                    rows=tuple(map(_row, self.recovery)),
                ),
                Table(
                    title="Seconds from a decision to the message that follows",
                    columns=("", "approvals", "p50", "p95", "max"),
                    rows=tuple(map(_row, self.follow_ups)),
                ),
                Table(
                    title="Looked at",
                    columns=("", "count"),
                    rows=tuple(sorted(self.checked.items())),
                ),
            ),
        )


def _row(durations: Durations) -> tuple[str, int, float, float, float]:
    return durations.what, durations.count, durations.p50, durations.p95, durations.max
