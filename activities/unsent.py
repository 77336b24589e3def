"""Failures before which nothing was sent: a caller that couldn't connect has asked for nothing."""

import socket
from urllib.error import URLError

_NO_CONNECTION = (ConnectionRefusedError, socket.gaierror)

_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2")
_CONNECTING = ("ConnectError", "ConnectTimeout", "PoolTimeout")
"""HTTP clients that send a request once, and their errors from before it. `requests` and `aiohttp` may
have sent it before, and do not say so."""


def was_not_sent(error: BaseException) -> bool:
    """Whether `error` says that a call did not leave this process. After any other error, another system
    may have done what it was asked for."""
    if isinstance(error, _NO_CONNECTION):
        return True
    if isinstance(error, URLError):
        return isinstance(error.reason, _NO_CONNECTION)
    if type(error) is OSError:  # what anyio raises where no address of a host could be connected to
        return isinstance(error.__cause__, _NO_CONNECTION)
    return any(
        kind.__module__.partition(".")[0] in _CLIENTS and kind.__name__ in _CONNECTING
        for kind in type(error).__mro__
    )
