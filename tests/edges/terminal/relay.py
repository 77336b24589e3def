"""A TCP relay in front of a server, so that a test can cut the line of one client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CLIENT_PREFACE_AND_CALLS = 1_000
"""Bytes from the client after which it has sent a message, and not just said hello."""


class Relay:
    """Passes bytes both ways. `used` is set once a client has sent more than a greeting, `withheld` once
    something was said while it was silent."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.used = asyncio.Event()
        self.withheld = asyncio.Event()
        self._silent = False
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def open(cls, host: str, port: int) -> AsyncIterator["Relay"]:
        """A relay on a port of its own."""
        relay = cls(host, port)
        relay._server = await asyncio.start_server(relay._accept, "127.0.0.1", 0)
        relay.address = f"127.0.0.1:{relay._server.sockets[0].getsockname()[1]}"
        try:
            yield relay
        finally:
            await relay.close()

    async def close(self) -> None:
        """Cut every connection, and take no more."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    def fall_silent(self) -> None:
        """Pass nothing on any more, and keep the connections."""
        self._silent = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers += [writer, back]
        await asyncio.gather(
            self._pass(reader, back, counted=True), self._pass(there, writer, counted=False)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        passed = 0
        try:
            while data := await reader.read(65_536):
                if self._silent:
                    self.withheld.set()
                    continue
                writer.write(data)
                await writer.drain()
                passed += len(data)
                if counted and passed > _CLIENT_PREFACE_AND_CALLS:
                    self.used.set()
        except OSError:
            writer.close()
