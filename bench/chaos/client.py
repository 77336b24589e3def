"""A process of the run's clients: `python -m bench.chaos.client`.

Its first line of input is a `Session`, every other one a conversation to go on with (`Assigned`). What
it sees goes out as `Observation`s. It ends with its input. SIGUSR1 has it say what it waits for.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress

from bench.chaos.load import Player
from bench.chaos.observations import Assigned, Broken, Observation
from holdfast.client import HoldfastClient
from holdfast.domain.errors import Unavailable
from holdfast.domain.limits import Limits
from holdfast.domain.model import Frozen
from holdfast.runtime.process import exit_process
from holdfast.runtime.settings import Settings, read_settings


class Session(Frozen):
    """The tenant that the process connects as, and the limits of the conversations that it starts."""

    tenant: str
    limits: Limits


_PAUSE_SECONDS = 0.2

_OUT = os.dup(sys.stdout.fileno())
"""Where observations go. The SDK logs to the standard output, which is made the standard error."""


def _tell(observation: Observation) -> None:
    os.write(_OUT, observation.model_dump_json().encode() + b"\n")


async def _play(client: HoldfastClient, assigned: Assigned) -> None:
    plan = assigned.plan
    try:
        await Player(client.for_tenant(plan.tenant), assigned, _tell).play()
    except Exception as error:  # the others go on, and the run is told
        problem = f"{type(error).__name__}: {error}"
        if isinstance(error, ExceptionGroup):
            problem = "; ".join(f"{type(one).__name__}: {one}" for one in error.exceptions)
        _tell(Broken(tenant=plan.tenant, conversation=plan.conversation, problem=problem))


def _say_what_is_waited_for() -> None:
    for task in asyncio.all_tasks():
        places = [task.get_name()]
        inner: object = task.get_coro()
        while inner is not None:
            if (frame := getattr(inner, "cr_frame", None)) is not None:
                places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
            inner = getattr(inner, "cr_await", None)
        print(*places, sep=" > ", file=sys.stderr, flush=True)


async def _connect(exits: AsyncExitStack, settings: Settings, tenant: str) -> HoldfastClient:
    """Connect as soon as it goes: the process may have been started while a server is away."""
    while True:
        with suppress(Unavailable):
            return await exits.enter_async_context(HoldfastClient.connect(settings, tenant=tenant))
        await asyncio.sleep(_PAUSE_SECONDS)


async def _serve() -> None:
    session = Session.model_validate_json(await asyncio.to_thread(sys.stdin.readline))
    settings = read_settings(limits=session.limits)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _say_what_is_waited_for)
    playing: set[asyncio.Task[None]] = set()
    async with AsyncExitStack() as exits:
        client = await _connect(exits, settings, session.tenant)
        while line := await asyncio.to_thread(sys.stdin.readline):
            task = asyncio.create_task(_play(client, Assigned.model_validate_json(line)))
            playing.add(task)
            task.add_done_callback(playing.discard)
        for task in playing:
            task.cancel()


if __name__ == "__main__":
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        asyncio.run(_serve())
    finally:
        exit_process(0)
