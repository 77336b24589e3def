"""Opens a connection to the first of several hosts that can be used."""

from collections.abc import Sequence
from typing import Any

import asyncpg


async def connect(
    *args: Any,
    timeout: float,
    host: Sequence[str] | None = None,
    port: Sequence[int] | None = None,
    target_session_attrs: str | None = None,
    **options: Any,
) -> Any:
    """As `asyncpg.connect`, whose `timeout` is for all hosts together; here each has its own, as with
    libpq, so that one that takes the connection and says nothing is passed over.

    Raises what the last host came to.
    """
    hosts: list[tuple[str | None, int | None]] = [*zip(host or (), port or (), strict=True)]
    preferred = target_session_attrs == "prefer-standby"
    for wanted in ("standby", "any") if preferred else (target_session_attrs,):
        for at in hosts or [(None, None)]:
            try:
                return await _connect_to(
                    *args, at=at, timeout=timeout, target_session_attrs=wanted, **options
                )
            except (
                OSError,
                asyncpg.CannotConnectNowError,
                asyncpg.TargetServerAttributeNotMatched,
            ) as error:
                last = error
    raise last


async def _connect_to(
    *args: Any, at: tuple[str | None, int | None], timeout: float, **options: Any
) -> Any:
    host, port = at
    try:
        return await asyncpg.connect(*args, host=host, port=port, timeout=timeout, **options)
    except TimeoutError as error:
        if str(error):
            raise
        where = f"{host}:{port}" if host else "it"
        raise TimeoutError(f"{where} did not answer within {timeout:g} s") from None
