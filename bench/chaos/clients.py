"""The run's clients: processes that play conversations, and what all of them have seen."""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.chaos.client import Session
from bench.chaos.observations import (
    OBSERVATION,
    Answered,
    Assigned,
    Broken,
    Decided,
    Followed,
    Refusal,
    RoundDone,
)
from bench.chaos.plan import ConversationPlan
from holdfast.client.views import SentMessage
from tests.platform import ROOT

ConversationKey = tuple[str, str]
"""Tenant and conversation."""


@dataclass
class Seen:
    """What the clients were told, by whom it is about."""

    plans: dict[ConversationKey, ConversationPlan] = field(default_factory=dict)
    """The conversations that were begun."""
    rounds: dict[ConversationKey, int] = field(default_factory=dict)
    """How many rounds of a conversation are over."""
    finished: set[ConversationKey] = field(default_factory=set)
    answers: defaultdict[tuple[str, str, str], list[SentMessage]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Every answer that a message got, by tenant, conversation and message id."""
    refusals: list[Refusal] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    followed: defaultdict[ConversationKey, list[Followed]] = field(
        default_factory=lambda: defaultdict(list)
    )
    broken: list[Broken] = field(default_factory=list)
    ended_by_themselves: list[int] = field(default_factory=list)
    """Exit codes of client processes that nobody killed."""


@dataclass
class _Slot:
    """Plays one conversation after the other, as long as there are plans."""

    plans: Iterator[ConversationPlan]
    current: ConversationPlan | None = None
    round: int = 0


class ClientProcess:
    """One process and the slots that it plays. It may be killed: `start` lets another one go on."""

    def __init__(
        self,
        plans: Sequence[Iterator[ConversationPlan]],
        *,
        session: Session,
        environment: Mapping[str, str],
        seen: Seen,
    ) -> None:
        self._slots = [_Slot(plans=one) for one in plans]
        self._session = session
        self._environment = environment
        self._seen = seen
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._last_orders = False
        self._is_killed = False

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def playing(self) -> list[ConversationPlan]:
        """The conversations that are under way."""
        return [slot.current for slot in self._slots if slot.current is not None]

    async def start(self) -> None:
        """Start a process that goes on where the one before was."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.chaos.client",
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**22,
        )
        self._is_killed = False
        self._reading = asyncio.create_task(self._read(self._process))
        self._say(self._session.model_dump_json())
        for slot in self._slots:
            if slot.current is None:
                self._next(slot)
            else:
                self._assign(slot)

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signum)

    async def kill(self) -> None:
        """SIGKILL; returns when everything that it said was read."""
        self._is_killed = True
        self.signal(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """End it, in whatever state it is."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            await self.kill()

    async def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        assert self._process is not None
        assert self._reading is not None
        code = await self._process.wait()
        await self._reading
        return code

    def begin_no_more(self) -> None:
        """Let the conversations that are under way be the last ones."""
        self._last_orders = True

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self._take(line)
        if not self._is_killed:
            self._seen.ended_by_themselves.append(await process.wait())

    def _take(self, line: bytes) -> None:
        seen, observed = self._seen, OBSERVATION.validate_json(line)
        match observed:
            case Answered():
                key = (observed.tenant, observed.conversation, observed.sent.message_id)
                seen.answers[key].append(observed.sent)
            case Refusal():
                seen.refusals.append(observed)
            case Decided():
                seen.decisions.append(observed)
            case Followed():
                seen.followed[observed.tenant, observed.conversation].append(observed)
            case RoundDone():
                self._advance(observed)
            case Broken():
                seen.broken.append(observed)
                self._give_up(observed)

    def _advance(self, done: RoundDone) -> None:
        slot = self._slot_of(done.tenant, done.conversation)
        assert slot.current is not None
        slot.round = self._seen.rounds[done.tenant, done.conversation] = done.round + 1
        if slot.round == len(slot.current.rounds):
            self._seen.finished.add((done.tenant, done.conversation))
            self._next(slot)

    def _give_up(self, broken: Broken) -> None:
        self._next(self._slot_of(broken.tenant, broken.conversation))

    def _slot_of(self, tenant: str, conversation: str) -> _Slot:
        return next(
            slot
            for slot in self._slots
            if slot.current
            and (slot.current.tenant, slot.current.conversation) == (tenant, conversation)
        )

    def _next(self, slot: _Slot) -> None:
        slot.current = None if self._last_orders else next(slot.plans, None)
        slot.round = 0
        if slot.current is not None:
            self._seen.plans[slot.current.tenant, slot.current.conversation] = slot.current
            self._assign(slot)

    def _assign(self, slot: _Slot) -> None:
        assert slot.current is not None
        followed = self._seen.followed[slot.current.tenant, slot.current.conversation]
        assigned = Assigned(
            plan=slot.current,
            round=slot.round,
            after=followed[-1].seq if followed else 0,
            ended=tuple(one.ended_turn for one in followed if one.ended_turn is not None),
        )
        self._say(assigned.model_dump_json())

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(line.encode() + b"\n")
