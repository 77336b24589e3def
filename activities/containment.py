"""Exits, cancellations and other exceptions that are no `Exception`, where brought code raises them: they are
failures of that code, and end nothing else.

`sys.exit()` in a task goes through the event loop and stops it, with everything that it runs; a node of
LangGraph is a task of its own, so nothing around the graph could catch that.
"""

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any

from holdfast.domain.errors import SubgraphFailed

_LET_THROUGH = (Exception, asyncio.CancelledError, GeneratorExit)
"""What a coroutine may raise without harm to those beside it."""

_BROUGHT = ContextVar("holdfast_brought_code", default=False)
"""Whether what runs here, and in the tasks that it starts, is brought code, or calls it."""


def contain_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have the tasks that brought code starts fail where they would stop the loop."""

    def start(
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> asyncio.Task[Any]:
        if _BROUGHT.get() and isinstance(coro, Coroutine):
            own = options.get("context")
            coro = _Contained(coro, copy_context() if own is None or _BROUGHT not in own else own)
        return asyncio.Task(coro, loop=loop, **options)

    loop.set_task_factory(start)


@contextmanager
def contained() -> Iterator[None]:
    """Call brought code.

    Raises:
        SubgraphFailed: it wanted to exit, or cancelled itself. What the caller is cancelled by stays that.
    """
    brought = _BROUGHT.set(True)
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise SubgraphFailed("the code was cancelled by itself") from None
    except _LET_THROUGH:
        raise
    except BaseException as error:  # the SDK knows what to do with an Exception alone
        raise _failed(error) from None
    finally:
        _BROUGHT.reset(brought)


def context_of(task: "asyncio.Task[Any] | None") -> Context:
    """What a task that brought code has started knows of where that was; of others, nothing."""
    coro = task.get_coro() if task is not None else None
    return coro.context if isinstance(coro, _Contained) else Context()


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine that fails instead of exiting, with its context, which Python 3.11's tasks don't tell."""

    __slots__ = ("_inner", "context")

    def __init__(self, inner: Coroutine[Any, Any, Any], context: Context) -> None:
        self._inner = inner
        self.context = context

    def send(self, value: Any) -> Any:
        try:
            return self._inner.send(value)
        except _LET_THROUGH:
            raise
        except BaseException as error:
            raise _failed(error) from None

    def throw(self, *error: Any) -> Any:
        try:
            return self._inner.throw(*error)
        except _LET_THROUGH:
            raise
        except BaseException as other:
            raise _failed(other) from None

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


def _failed(error: BaseException) -> SubgraphFailed:
    return SubgraphFailed(f"the code raised {type(error).__name__}")
