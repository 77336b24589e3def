"""What brought code gets of a connection: what sends statements and reads their results. What would end the
transaction that it is lent in, or change the connection for those who have it later, is refused."""

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from asyncpg.pool import PoolConnectionProxy

from holdfast.domain.errors import BrokenContract

if TYPE_CHECKING:
    import asyncpg

    _Proxy = PoolConnectionProxy[asyncpg.Record]
else:
    _Proxy = PoolConnectionProxy

_SUSPECT = re.compile(
    r"\b(?:commit|end|abort|rollback|begin|start|prepare|deallocate|discard|load|pg_terminate_backend)\b",
    re.IGNORECASE,
)
"""What a statement has somewhere in it that is worth being read."""

_LETTER = r"A-Za-z_\x80-\U0010ffff"
_BREAK = r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:\s|--[^\n\r]*[\n\r])*"
_TOKEN = re.compile(
    rf"""--[^\n\r]*
    | /\*
    | [eE]'(?:[^'\\]|\\.|''|'{_BREAK}')*'
    | '(?:[^']|'')*'
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<tag>\$(?:[{_LETTER}][{_LETTER}0-9]*)?\$).*?(?P=tag)
    | (?P<word>[{_LETTER}][{_LETTER}0-9$]*)
    | ;
    | [^\w\x80-\U0010ffff'"$/;-]+
    | .""",
    re.VERBOSE | re.DOTALL,
)
"""What Postgres takes as one: everything beyond ASCII is a letter to it, a return ends a line, and what
follows a line break of an E-string goes on with it."""
_COMMENT_BOUND = re.compile(r"/\*|\*/")

_ENDS = {"commit", "end", "abort", "begin"}
_CHANGES = {"discard", "load"}

_TAKE_SQL = (
    "execute",
    "executemany",
    "fetch",
    "fetchrow",
    "fetchval",
    "fetchmany",
    "prepare",
    "cursor",
    "copy_from_query",
)
_TAKE_A_TABLE = ("copy_to_table", "copy_records_to_table")
_OTHERS = (
    "copy_from_table",
    "transaction",
    "is_in_transaction",
    "is_closed",
    "get_server_pid",
    "get_server_version",
)


class Lent(_Proxy):
    """A pool's connection in the hands of brought code, for as long as the pool's own proxy has it."""

    __slots__ = ("_lender",)

    def __init__(
        self, lender: _Proxy
    ) -> None:  # without asyncpg's: it would be the connection's proxy
        self._lender = lender

    @property
    def _con(self) -> Any:
        return self._lender._con  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:  # asyncpg's gives whatever the connection has
        raise AttributeError(f"a lent connection has no {name!r}", name=name, obj=self)


def _reading(name: str, *, first: bool = True) -> Any:
    """The method of a connection, once the statement in it has been read."""
    method = getattr(PoolConnectionProxy, name)

    @functools.wraps(method)
    def read(self: Lent, *args: Any, **options: Any) -> Any:
        parts = [options[part] for part in ("query", "command", "where") if part in options]
        for statement in (*args[:1], *parts) if first else parts:
            if isinstance(statement, str):
                require_no_end(statement)
        return method(self, *args, **options)

    return read


def _refusing(name: str) -> Any:
    @functools.wraps(getattr(PoolConnectionProxy, name))
    def refuse(self: Lent, *args: Any, **options: Any) -> Any:
        raise BrokenContract(
            f"brought code may not call {name}(): the transaction and its connection are lent, and others "
            f"have the connection next. It has {', '.join((*_TAKE_SQL, *_TAKE_A_TABLE, *_OTHERS))}; what a "
            "type is read as is decided in the statement (`price::text`) or after it"
        )

    return refuse


for _name in dir(PoolConnectionProxy):
    if _name in _TAKE_SQL:
        setattr(Lent, _name, _reading(_name))
    elif _name in _TAKE_A_TABLE:  # whose name comes first
        setattr(Lent, _name, _reading(_name, first=False))
    elif _name not in _OTHERS and not _name.startswith("_"):
        setattr(Lent, _name, _refusing(_name))


def require_no_end(sql: str) -> None:
    """Make sure that none of the statements begins or ends a transaction, ends a session, or takes from it
    what the rest of the transaction needs, as far as reading them tells: what a procedure does is not known.
    Postgres itself lets none end our transaction, and what else it does ends with the session's reset.

    Raises:
        BrokenContract: one does.
    """
    if not _SUSPECT.search(sql):
        return
    for words in _statements(sql):
        first, second, *_ = (*words, "", "")
        back = first == "rollback" and "to" not in words[1:3]
        started = (first, second) == ("start", "transaction")
        prepared = (first, second) == ("prepare", "transaction")
        if first in _ENDS | _CHANGES or back or started or prepared:
            raise _refused(first)
        if first == "deallocate" and "all" in words[1:3]:  # asyncpg's statements as well
            raise _refused("deallocate all")
        if "pg_terminate_backend" in words:
            raise _refused("pg_terminate_backend")


def _statements(sql: str) -> Iterator[list[str]]:
    """The words of each statement, without comments and what is quoted."""
    words: list[str] = []
    at = 0
    while token := _TOKEN.match(sql, at):
        text, at = token.group(), token.end()
        if text == "/*":
            at = _after_comment(sql, at)
        elif text == ";":
            yield words
            words = []
        elif token["word"]:
            words.append(text.lower())
        elif token["quoted"]:
            words.append(text.strip('"'))
    yield words


def _after_comment(sql: str, at: int) -> int:
    """Where the comment ends that begins before `at`; comments of SQL may hold others."""
    depth = 1
    for bound in _COMMENT_BOUND.finditer(sql, at):
        depth += 1 if bound.group() == "/*" else -1
        if not depth:
            return bound.end()
    return len(sql)


def _refused(what: str) -> BrokenContract:
    return BrokenContract(
        f"brought code may not send {what}: the transaction and its connection are lent. Write or read, "
        "and return; `connection.transaction()` is a savepoint"
    )
