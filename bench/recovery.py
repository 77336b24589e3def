"""The section `recovery`: a worker is killed in the middle of many turns; how long until all are answered."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.model import answer
from bench.report import Ratio, Section, Table, percentile
from bench.stack import BenchStack, bench_stack
from holdfast.client import HoldfastClient
from holdfast.domain.identity import ConversationKey
from holdfast.testing import ModelReply, ScriptedModel, WorkerProcess, is_triage, last_message
from holdfast.testing.scripted_model import request_digest

NAME = "recovery"

_MODEL_SECONDS = 2.0
"""How long the agent's model takes."""

_TURNS = 50
_ROUNDS = 3
_SURVIVORS = (1, 2)

_QUICK_TURNS = 10
_QUICK_ROUNDS = 1

_ARRIVAL_SECONDS = 60.0

_HOW = """\
{turns} conversations, each with a turn behind it, get a message at the same time; that is one of {kills} kills. \
The agent's model answers {seconds:g} s after it was called, but nobody before the kill: once all {turns} are \
at the model, one worker gets SIGKILL, and the clock starts. So a turn that ran on another worker is answered \
after little more than {seconds:g} s; one that ran on the killed worker has to be missed first (its \
session with Postgres ends), taken up by another worker, and to ask the model again. The model calls that the \
killed worker had in flight are the only ones that may be made twice. Nothing is restarted: the survivors do it all."""


@dataclass(frozen=True, kw_only=True)
class AnsweredTurn:
    """A turn that was in flight at the kill."""

    seconds: float
    """From the kill to the answer."""
    lost_worker: bool
    """Whether it ran on the killed worker."""
    calls: int
    """Calls of the agent's model."""


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """One kill."""

    survivors: int
    turns: Sequence[AnsweredTurn]
    repeated_calls: int
    """Model calls that were made again, those of triage included."""

    @property
    def lost(self) -> int:
        """Turns that the killed worker had in flight, each with a call of the model."""
        return sum(turn.lost_worker for turn in self.turns)

    @property
    def needless_calls(self) -> int:
        """Calls that were made again though they were not in flight on the killed worker."""
        return self.repeated_calls - sum(
            min(turn.calls - 1, 1) for turn in self.turns if turn.lost_worker
        )

    @property
    def all_answered(self) -> float:
        """Seconds until the last turn was answered."""
        return max(turn.seconds for turn in self.turns)

    def last_of(self, *, lost_worker: bool) -> float | None:
        """Seconds until the last turn was answered that ran on the killed worker, or that did not."""
        return max(
            (turn.seconds for turn in self.turns if turn.lost_worker is lost_worker), default=None
        )


class SlowModel:
    """Answers the agent some seconds after the call, and not before `release`. Triage is answered at once."""

    def __init__(self, *, expected: int, seconds: float) -> None:
        self._expected = expected
        self._seconds = seconds
        self._waiting = asyncio.Event()
        self._released = asyncio.Event()
        self.calls: Counter[str] = Counter()
        """The agent's calls, by the customer's message."""
        self.digests: Counter[str] = Counter()
        """All calls, triage's included, by their digest."""

    async def answer(self, request: Mapping[str, Any]) -> ModelReply:
        """What the model says, when it is time."""
        self.digests[request_digest(request)] += 1
        if is_triage(request):
            return answer(request)
        self.calls[last_message(request)] += 1
        if len(self.calls) == self._expected:
            self._waiting.set()
        await self._released.wait()
        return answer(request).after(self._seconds)

    async def all_waiting(self) -> None:
        """Wait until the agents of all turns have called."""
        await asyncio.wait_for(self._waiting.wait(), _ARRIVAL_SECONDS)

    def release(self) -> None:
        """Let the calls be answered."""
        self._released.set()


async def measure(*, quick: bool) -> Section:
    """Kill a worker of two, then one of three."""
    turns = _QUICK_TURNS if quick else _TURNS
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    async with bench_stack() as stack:
        recovered = [
            await recover(stack, survivors=survivors, turns=turns, name=f"{survivors}-{number}")
            for survivors in _SURVIVORS
            for number in range(rounds)
        ]
    return section(recovered)


async def recover(stack: BenchStack, *, survivors: int, turns: int, name: str) -> Recovered:
    """Kill a worker while `turns` turns are in flight; ends all workers of the stack afterwards."""
    slow: SlowModel | None = None

    async def script(request: dict[str, Any]) -> ModelReply:
        return answer(request) if slow is None else await slow.answer(request)

    async with ScriptedModel(script) as model:
        provider = {"name": "slow", "base_url": model.base_url, "model": "slow"}
        models = json.dumps([provider])
        victim = await stack.start_worker(HOLDFAST_MODELS=models)
        for _ in range(survivors):
            await stack.start_worker(HOLDFAST_MODELS=models)
        client = await stack.client("recovery")
        conversations = [f"r-{name}-{number}" for number in range(turns)]
        await asyncio.gather(*(_say(client, one, "hello") for one in conversations))
        slow = SlowModel(expected=turns, seconds=_MODEL_SECONDS)
        answered = await _kill_amid(stack, client, victim, slow, conversations)
        await stack.stop_workers()
    return Recovered(
        survivors=survivors,
        turns=answered,
        repeated_calls=sum(slow.digests.values()) - len(slow.digests),
    )


async def _kill_amid(
    stack: BenchStack,
    client: HoldfastClient,
    victim: WorkerProcess,
    slow: SlowModel,
    conversations: Sequence[str],
) -> list[AnsweredTurn]:
    text = {one: f"again {one}" for one in conversations}
    answered = [asyncio.create_task(_answered_at(client, one, text[one])) for one in conversations]
    await slow.all_waiting()
    workers = await asyncio.gather(*(_worker_of(stack, client, one) for one in conversations))
    killed_at = time.monotonic()
    victim.signal(signal.SIGKILL)
    slow.release()
    times = await asyncio.gather(*answered)
    return [
        AnsweredTurn(
            seconds=at - killed_at,
            lost_worker=worker == victim.process.pid,
            calls=slow.calls[text[conversation]],
        )
        for conversation, worker, at in zip(conversations, workers, times, strict=True)
    ]


async def _worker_of(stack: BenchStack, client: HoldfastClient, conversation: str) -> int:
    """The process that runs the conversation's graph at this moment."""
    handle = stack.temporal.get_workflow_handle(
        ConversationKey(client.tenant, conversation).workflow_id
    )
    (activity,) = (await handle.describe()).raw_description.pending_activities
    return int(activity.last_worker_identity.partition("@")[0])  # the SDK's own: `pid@host`


async def _answered_at(client: HoldfastClient, conversation: str, text: str) -> float:
    await _say(client, conversation, text)
    return time.monotonic()


async def _say(client: HoldfastClient, conversation: str, text: str) -> None:
    sent = await client.send(conversation, text, customer="customer")
    if sent.status != "answered":
        raise RuntimeError(f"the turn of {conversation} ended {sent.status}")


def section(recovered: Sequence[Recovered]) -> Section:
    """The numbers as a section."""
    numbers = sorted({one.survivors for one in recovered})
    return Section(
        name=NAME,
        title="Recovery",
        how=_HOW.format(
            turns=len(recovered[0].turns), kills=len(recovered), seconds=_MODEL_SECONDS
        ),
        ratios=(
            *(
                Ratio(
                    name=f"seconds from the kill until all are answered, {_left(number)}, the slowest",
                    value=max(one.all_answered for one in recovered if one.survivors == number),
                )
                for number in numbers
            ),
            Ratio(
                name="model calls made twice that the killed worker did not have in flight",
                value=sum(one.needless_calls for one in recovered),
                aim=0,
            ),
        ),
        tables=(_kills_table(recovered),),
    )


def _kills_table(recovered: Sequence[Recovered]) -> Table:
    return Table(
        title="Kills, times in seconds from the kill",
        columns=(
            "",
            "turns in flight",
            "on the killed worker",
            "model calls made twice",
            "p50 answered",
            "last answered of other workers",
            "last answered of the killed one",
        ),
        rows=tuple(
            (
                _left(one.survivors),
                len(one.turns),
                one.lost,
                one.repeated_calls,
                percentile([turn.seconds for turn in one.turns], 0.5),
                one.last_of(lost_worker=False),
                one.last_of(lost_worker=True),
            )
            for one in recovered
        ),
    )


def _left(survivors: int) -> str:
    return f"{survivors} worker{'s' if survivors > 1 else ''} left"
