"""SQL that is longer than a screen's third, each statement a file that psql runs as well.

Parameters have names, `:tenant`. psql puts its variables in their place: `psql -v tenant="'acme'" -f FILE`.
"""

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_NAME = re.compile(r"(?<![:\w]):([a-z_]+)\b")
_COMMENT = re.compile(r"--[^\n]*")


class Statement:
    """A statement with named parameters, as asyncpg takes it: `fetch(*statement(tenant="acme"))`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = tuple(dict.fromkeys(_NAME.findall(text)))
        self.numbered = _NAME.sub(lambda found: f"${self.names.index(found[1]) + 1}", text)
        """The same with `$1` and so on in the place of the names."""

    def __call__(self, **values: object) -> tuple[str, *tuple[object, ...]]:
        """The numbered text, and the values in the order of their numbers.

        Raises:
            TypeError: a parameter has no value, or a value has no parameter.
        """
        if values.keys() != set(self.names):
            differing = ", ".join(sorted(values.keys() ^ set(self.names)))
            raise TypeError(f"the statement and the values differ in {differing}")
        return self.numbered, *(values[name] for name in self.names)

    def __add__(self, more: str) -> "Statement":
        """The statement with more text at its end."""
        return Statement(f"{self.text}\n{more}")


def statement(name: str, **parts: Statement) -> Statement:
    """The statement in the file `{name}.sql`, with the `parts` in the places of their names."""
    text = _COMMENT.sub("", (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")).strip()
    for part, inserted in parts.items():
        text = re.sub(rf"(?<![:\w]):{part}\b", lambda _, one=inserted: one.text, text)  # type: ignore[misc]
    return Statement(text)
