"""What only some installations need: the extras of the distribution."""

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.domain.errors import ExtraMissing


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Around imports that `what` needs and the extra `name` installs.

    Raises:
        ExtraMissing: a module of somebody else's is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] == "holdfast":
            raise
        raise ExtraMissing(
            f"{what} needs {missing}, which is not installed: pip install 'holdfast[{name}]'"
        ) from error
