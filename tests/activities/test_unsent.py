"""Which failures of a call say that nothing was sent: those of really connecting to nobody."""

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable

import httpx
import httpx2
import pytest

from holdfast.activities.unsent import was_not_sent

NOBODY = "http://127.0.0.1:9/pay"


async def by_httpx() -> None:
    async with httpx.AsyncClient() as client:
        await client.post(NOBODY)


async def by_httpx2() -> None:
    async with httpx2.AsyncClient() as client:
        await client.post(NOBODY)


async def by_urllib() -> None:
    await asyncio.to_thread(urllib.request.urlopen, NOBODY, b"pay")


async def by_socket() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


@pytest.mark.parametrize("call", [by_httpx, by_httpx2, by_urllib, by_socket])
async def test_where_it_cannot_connect_nothing_was_sent(
    call: Callable[[], Awaitable[None]],
) -> None:
    with pytest.raises(Exception) as failed:  # noqa: PT011 - each client has its own
        await call()
    assert was_not_sent(failed.value)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        OSError("All connection attempts failed"),
        httpx.ReadTimeout("slow"),
        httpx2.ReadError("broken"),
        httpx2.RemoteProtocolError("cut off"),
        RuntimeError("Connection refused"),
    ],
    ids=repr,
)
async def test_any_other_failure_may_have_come_after_it_was_sent(error: Exception) -> None:
    assert not was_not_sent(error)


async def by_two_hosts() -> None:
    try:
        await by_socket()
    except ConnectionRefusedError:
        raise httpx2.ReadTimeout("the second host does not answer")  # noqa: B904


async def test_what_failed_while_another_failure_was_handled_was_sent() -> None:
    with pytest.raises(httpx2.ReadTimeout) as failed:
        await by_two_hosts()
    assert not was_not_sent(failed.value)
