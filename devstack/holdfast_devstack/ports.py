"""Ports that stay the same from one start to the next, as long as nobody else takes them."""

import errno
import json
import random
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"

_CHOICE = range(20_000, 32_000)
"""Below every system's range for outgoing connections, so that none of those takes a remembered
port, and a client that redials a stopped server cannot connect to itself."""

_random = random.SystemRandom()  # a seeded generator would give parallel tests the same ports


def remembered_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """A port for each name: the one in `file` if it is free, else a new one, written to `file`."""
    known: dict[str, int] = {}
    with suppress(OSError, ValueError):
        known = json.loads(file.read_text())
    chosen: dict[str, int] = {}
    for name in names:
        port = known.get(name)
        if port is None or port in chosen.values() or not is_free(port):
            port = _free_port(set(chosen.values()))
        chosen[name] = port
    if chosen != known:
        file.write_text(json.dumps(chosen))
    return chosen


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do, else the remains of closed connections look like a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _free_port(taken: set[int]) -> int:
    while True:
        port = _random.choice(_CHOICE)
        if port not in taken and is_free(port):
            return port
