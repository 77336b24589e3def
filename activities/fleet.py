"""The deployment as this worker knows it: who has which agent and action, and what nobody can do."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.contract.subgraph import AgentCard
from holdfast.domain import wire
from holdfast.domain.errors import NotServedHere
from holdfast.domain.fleet import (
    Capabilities,
    Graphs,
    GraphShape,
    ServedAction,
    ServedAgent,
    missing,
)
from holdfast.graphs.snapshots import needs_of
from holdfast.packages.registry import Registry
from holdfast.store.fleet import (
    Member,
    Waiting,
    note_leaving,
    note_worker,
    read_lacking,
    read_members,
    read_waiting,
)
from holdfast.store.pool import TRANSIENT_ERRORS, Pool

_logger = logging.getLogger("holdfast.worker")

_BEAT_SECONDS = 2.0
_LOOKS_AFTER_BEATS = 5
"""What waits is looked at more rarely than the other workers are."""

_RECENTLY = timedelta(seconds=30)
_EXAMPLES = 3


class Fleet:
    """What the workers of the deployment serve. Without `keep`, this process knows of itself alone.

    Args:
        scope: the deployment, as Temporal's namespace and the first part of its task queues.
        build: the build of this worker where workers are versioned: work stays within its build.
        serves_agents, serves_actions: whether this process takes such work, or has the code only.
        capacity: how many steps it runs at a time.
    """

    def __init__(
        self,
        pool: Pool,
        registry: Registry,
        *,
        scope: str,
        task_queue: str,
        build: str = "",
        serves_agents: bool = True,
        serves_actions: bool = True,
        capacity: int = 0,
    ) -> None:
        self.scope = scope
        self.task_queue = task_queue
        self.build = build
        self._pool = pool
        self._registry = registry
        self._code = registry.served()
        self._own = Capabilities(
            agents=self._code.agents if serves_agents else (),
            actions=self._code.actions if serves_actions else (),
        )
        self._capacity = capacity
        self._worker = uuid4().hex
        self._others: tuple[Member, ...] = ()
        self._unserved: list[str] = []
        self._stuck: list[str] = []

    # What is where.

    def agents(self) -> tuple[AgentCard, ...]:
        """Every agent that a message can be routed or handed to, wherever it runs."""
        found = {one.name: one.description for one in self._known_agents()}
        return tuple(AgentCard(name=name, description=text) for name, text in found.items())

    async def knows_agent(self, name: str) -> bool:
        """Whether somebody has an agent of this name; one that has just come is found, too."""
        if not any(one.name == name for one in self._known_agents()):
            await self.refresh()
        return any(one.name == name for one in self._known_agents())

    def place_of_agent(self, name: str) -> str:
        """The package whose workers have an agent that this one lacks.

        Raises:
            NotServedHere: nobody is known to have it.
        """
        found = (one.package for one in self._known_agents() if one.name == name and one.package)
        return self._place(f"agent {name!r}", next(found, None))

    def place_of_action(self, name: str) -> str:
        """The package whose workers have an action that this one lacks.

        Raises:
            NotServedHere: nobody is known to have it.
        """
        found = (one.package for one in self._known_actions() if one.name == name)
        return self._place(f"action {name!r}", next(found, None))

    def require_actions(self, names: tuple[str, ...]) -> None:
        """Check that actions which an agent of this worker proposes can be judged here.

        Raises:
            NotServedHere: another worker has one that this one lacks.
        """
        known = {one.name for one in self._known_actions()}
        for name in names:
            if self._registry.action(name) is None and name in known:
                raise NotServedHere(f"action {name!r}")

    async def gaps(self, agent: str, needed: Graphs) -> tuple[str, ...]:
        """What the graph of an agent lacks to go on from a snapshot; nothing where a worker has a graph
        that can.

        Raises:
            NotServedHere: nobody who is there serves the agent.
        """
        with contextlib.suppress(NotServedHere):
            if not self._gaps(agent, needed):
                return ()
        await self.refresh()  # somebody may have come just now
        return self._gaps(agent, needed)

    def _gaps(self, agent: str, needed: Graphs) -> tuple[str, ...]:
        graphs = [
            one.graphs for served in self._live() for one in served.agents if one.name == agent
        ]
        if not graphs:
            raise NotServedHere(f"agent {agent!r}")
        return min((missing(needed, one) for one in graphs), key=len)

    def problems(self) -> list[str]:
        """What waits and nobody can do, a line for each kind."""
        return [*self._unserved, *self._stuck]

    def _place(self, what: str, package: str | None) -> str:
        if package is None:
            raise NotServedHere(what)
        return package

    def _live(self) -> list[Capabilities]:
        return [self._own, *(one.served for one in self._others if one.live)]

    def _known(self) -> list[Capabilities]:
        """What is served; and of packages that nobody serves at this moment, what those served who were
        there last."""
        live = self._live()
        present = {package for served in live for package in served.packages()}
        gone = [
            Capabilities(
                agents=tuple(a for a in member.served.agents if a.package not in present),
                actions=tuple(a for a in member.served.actions if a.package not in present),
            )
            for member in self._others
            if not member.live and member.remembered
        ]
        return [*live, *gone]

    def _known_agents(self) -> list[ServedAgent]:
        return [
            *self._code.agents,
            *(one for served in self._known() for one in served.agents),
        ]

    def _known_actions(self) -> list[ServedAction]:
        return [one for served in self._known() for one in served.actions]

    # Being there, and looking.

    async def refresh(self) -> None:
        """Look who else is there."""
        async with self._pool.acquire() as connection:
            members = await read_members(connection, self.scope, self.build)
        self._others = tuple(one for one in members if one.worker != self._worker)

    async def keep(self, client: Client) -> None:
        """Say that this worker is there, and look at the others and at what waits, until cancelled."""
        beat = 0
        try:
            while True:
                try:
                    await self.join()
                    if beat % _LOOKS_AFTER_BEATS == 0:
                        await self._look(client)
                except TRANSIENT_ERRORS as error:
                    _logger.debug("fleet: %s", error)
                except Exception:  # a worker that stopped here would work on, and count as gone
                    _logger.exception("the other workers cannot be looked at")
                beat += 1
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            async with asyncio.timeout(_BEAT_SECONDS), self._pool.acquire() as connection:
                await note_leaving(connection, self.scope, self._worker)

    async def join(self) -> None:
        """Be there, and know the others; also before the first work comes."""
        async with self._pool.acquire() as connection:
            await note_worker(
                connection,
                self.scope,
                build=self.build,
                worker=self._worker,
                served=self._own,
                capacity=self._capacity,
            )
        await self.refresh()

    async def _look(self, client: Client) -> None:
        before = set(self.problems())
        self._unserved, self._stuck = await self._find_unserved(client), await self._find_stuck()
        for problem in self.problems():
            if problem not in before:
                _logger.warning("%s", problem)

    async def _find_unserved(self, client: Client) -> list[str]:
        """What waits for an agent or an action that no worker has."""
        live = self._live()
        agents = {one.name for served in live for one in served.agents}
        actions = {one.name for served in live for one in served.actions}
        found: dict[str, list[Waiting]] = {}
        async for one in read_waiting(self._pool, self.scope, snapshots=False):
            lacking = [f"action {name!r}" for name in one.actions if name not in actions]
            if one.agent not in agents:
                lacking.append(f"agent {one.agent!r}")
            for what in lacking:
                found.setdefault(what, []).append(one)
        problems = [
            f"no worker has the {what}: {_turns(waiting)}" for what, waiting in found.items()
        ]
        async with self._pool.acquire() as connection:
            handed_back = await read_lacking(connection, self.scope, _RECENTLY)
        problems += [
            f"no worker has the {what}: {count} conversations wait for it now"
            for what, count in handed_back
            if what not in found
        ]
        return problems + await self._find_unpolled(client)

    async def _find_unpolled(self, client: Client) -> list[str]:
        """Work in the queues of packages whose workers have gone."""
        present = {package for served in self._live() for package in served.packages()}
        seen = {package for one in self._others for package in one.served.packages()}
        problems: list[str] = []
        for package in sorted(filter(None, seen - present)):
            for queue in (wire.subgraphs_queue, wire.actions_queue):
                name = wire.package_queue(queue(self.task_queue), package)
                if waiting := await _backlog(client, name):
                    problems.append(
                        f"no worker has the package {package!r}: {waiting} tasks wait in {name}"
                    )
        return problems

    async def _find_stuck(self) -> list[str]:
        """Waiting turns whose graph cannot go on from its snapshot, in any worker."""
        found: dict[tuple[str, tuple[str, ...]], list[Waiting]] = {}
        async for one in read_waiting(self._pool, self.scope, snapshots=True):
            if one.snapshot is None:
                continue
            try:
                lacking = self._gaps(one.agent, needs(one.snapshot))
            except NotServedHere:
                continue
            if lacking:
                found.setdefault((one.agent, lacking), []).append(one)
        return [
            f"the agent {agent!r} cannot go on without {', '.join(lacking)}: {_turns(waiting)}; "
            "what they propose would not be executed"
            for (agent, lacking), waiting in found.items()
        ]


def needs(snapshot: bytes) -> Mapping[str, GraphShape]:
    """What a graph needs to go on from the snapshot; one that cannot be read needs what nobody has."""
    try:
        return needs_of(snapshot)
    except Exception as error:
        _logger.debug("a snapshot cannot be read: %r", error)
        return {"": GraphShape(channels=frozenset(["(unreadable)"]))}


def _turns(waiting: list[Waiting]) -> str:
    examples = ", ".join(
        f"turn {one.turn} of {one.tenant}/{one.conversation}" for one in waiting[:_EXAMPLES]
    )
    if len(waiting) == 1:
        return f"{examples} waits"
    return f"{len(waiting)} turns wait, such as {examples}"


async def _backlog(client: Client, queue: str) -> int:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )
    try:
        described = await client.workflow_service.describe_task_queue(request)
    except RPCError as error:
        _logger.debug("task queue %s: %s", queue, error)
        return 0
    return int(described.stats.approximate_backlog_count)
