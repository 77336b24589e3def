"""Kills and freezes workers, clients and servers at random moments."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from temporalio.service import RPCError

from bench.chaos.clients import ClientProcess, ConversationKey
from bench.chaos.crew import Crew
from bench.chaos.journal import Harm, HarmKind, Journal, Victim, now
from bench.chaos.stack import ChaosStack
from holdfast_devstack.postgres.server import PostgresServer
from holdfast_devstack.temporal.server import TemporalServer

_PAUSE_SECONDS = (1.5, 4.5)
_WORKER_FREEZE_SECONDS = (7.0, 10.0)
"""Longer than a heartbeat (3 s), a workflow task (4 s), and an idle transaction (5 s) are waited for."""
_SERVER_FREEZE_SECONDS = (2.0, 6.0)
_DOWN_SECONDS = (0.0, 2.0)
_LOOK_SECONDS = 1.0


class Havoc:
    """Harms one victim after the other. Freezes and restarts go on in the background, at most one for
    each server and each client."""

    def __init__(
        self,
        stack: ChaosStack,
        crew: Crew,
        clients: Sequence[ClientProcess],
        journal: Journal,
        *,
        seed: int,
    ) -> None:
        self._stack = stack
        self._crew = crew
        self._clients = clients
        self._journal = journal
        self._chance = random.Random(f"{seed}-havoc")
        self._busy: set[object] = set()

    async def wreak(self, until: float) -> None:
        """Do harm until this time of the monotonic clock; returns when everything is up again."""
        choices: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._kill_worker, 10),
            (self._freeze_worker, 3),
            (self._kill_client, 2),
            (self._freeze_client, 1),
            (self._kill_postgres, 1),
            (self._freeze_postgres, 1),
            (self._kill_temporal, 1),
            (self._freeze_temporal, 1),
        ]
        harms, weights = zip(*choices, strict=True)
        async with asyncio.TaskGroup() as group:
            # The first ones are certain, so that a short run sees the most of them.
            first = list(harms)
            self._chance.shuffle(first)
            first = [self._kill_worker, *(one for one in first if one != self._kill_worker)]
            while time.monotonic() < until:
                (harm,) = (first.pop(0),) if first else self._chance.choices(harms, weights)
                group.create_task(harm())
                pause = self._chance.uniform(*_PAUSE_SECONDS)
                await asyncio.sleep(max(0.0, min(pause, until - time.monotonic())))

    async def _kill_worker(self) -> None:
        if running := self._crew.running:
            await self._crew.kill(self._chance.choice(running))

    async def _freeze_worker(self) -> None:
        if running := self._crew.running:
            seconds = self._chance.uniform(*_WORKER_FREEZE_SECONDS)
            await self._crew.freeze(self._chance.choice(running), seconds)

    async def _kill_client(self) -> None:
        client = self._chance.choice(self._clients)
        if client in self._busy:
            return
        self._busy.add(client)
        at = now()
        await client.kill()
        await client.start()
        self._note("killed", "client", at)
        self._busy.discard(client)

    async def _freeze_client(self) -> None:
        client = self._chance.choice(self._clients)
        if client in self._busy:
            return
        self._busy.add(client)
        at = now()
        client.signal(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(*_SERVER_FREEZE_SECONDS))
        client.signal(signal.SIGCONT)
        self._note("frozen", "client", at)
        self._busy.discard(client)

    async def _kill_postgres(self) -> None:
        await self._kill_server(self._stack.postgres, "postgres")

    async def _freeze_postgres(self) -> None:
        await self._freeze_server(self._stack.postgres, "postgres")

    async def _kill_temporal(self) -> None:
        await self._kill_server(self._stack.temporal, "temporal")

    async def _freeze_temporal(self) -> None:
        await self._freeze_server(self._stack.temporal, "temporal")

    async def _kill_server(self, server: PostgresServer | TemporalServer, victim: Victim) -> None:
        if server in self._busy:
            return
        self._busy.add(server)
        at = now()
        await server.kill()
        await asyncio.sleep(self._chance.uniform(*_DOWN_SECONDS))
        await server.start()
        self._note("killed", victim, at)
        self._busy.discard(server)

    async def _freeze_server(self, server: PostgresServer | TemporalServer, victim: Victim) -> None:
        if server in self._busy:
            return
        self._busy.add(server)
        at = now()
        server.pause()
        await asyncio.sleep(self._chance.uniform(*_SERVER_FREEZE_SECONDS))
        server.resume()
        self._note("frozen", victim, at)
        self._busy.discard(server)

    def _note(self, kind: HarmKind, victim: Victim, at: float) -> None:
        affected: list[ConversationKey] = []
        if victim != "client":  # the turn of a killed client goes on
            affected = [
                (plan.tenant, plan.conversation)
                for client in self._clients
                for plan in client.playing
            ]
        self._journal.harm.append(
            Harm(
                kind=kind,
                victim=victim,
                at=at,
                until=now(),
                affected=affected,
            )
        )


async def conversations_of(
    stack: ChaosStack, clients: Sequence[ClientProcess], pid: int
) -> list[ConversationKey]:
    """The conversations under way with an activity on this worker, as Temporal believes; none where it
    does not answer."""
    playing = [(plan.tenant, plan.conversation) for client in clients for plan in client.playing]
    found: list[ConversationKey] = []

    async def look(key: ConversationKey) -> None:
        handle = stack.temporal_client.get_workflow_handle("/".join(key))
        with suppress(RPCError, TimeoutError):
            described = await asyncio.wait_for(handle.describe(), _LOOK_SECONDS)
            activities = described.raw_description.pending_activities
            if any(one.last_worker_identity.startswith(f"{pid}@") for one in activities):
                found.append(key)

    await asyncio.gather(*(look(key) for key in playing))
    return found
