"""What processes write to stderr. Of exceptions that are the places, and words of ours: their own may hold what a
customer wrote, SQL, or an address with its password.
"""

import logging
import sys
import traceback
from types import TracebackType

from holdfast.domain.failures import in_words


def log_worker(level: str) -> None:
    """Set up the log of a worker."""
    handler = logging.StreamHandler()
    handler.setFormatter(WordedLog("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in ("alembic", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def log_command() -> None:
    """Send all logs of a client's command to stderr. By default the SDK's core writes its own to stdout, where
    only the result belongs."""
    from temporalio.runtime import (
        LogForwardingConfig,
        LoggingConfig,
        Runtime,
        TelemetryConfig,
        TelemetryFilter,
    )

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio.core"))
    warnings = TelemetryFilter(core_level="WARN", other_level="ERROR")
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(warnings, forwarding=forwarding)))
    )


class WordedLog(logging.Formatter):
    """Writes exceptions into the log with the places where they were raised, and in words of ours."""

    def formatException(  # noqa: N802 logging's own name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """The exception and its causes, the first cause first."""
        return "\n".join(_told(ei[1])) if ei[1] is not None else ""


def _told(error: BaseException) -> list[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told = [*_told(before), "which led to:"] if before is not None else []
    places = traceback.extract_tb(error.__traceback__)
    told += [f"  {one.filename}:{one.lineno} in {one.name}" for one in places]
    return [*told, in_words(error)]
