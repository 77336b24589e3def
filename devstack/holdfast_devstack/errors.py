"""What can go wrong with the embedded servers. Each message says what to do about it."""

from holdfast.domain.errors import ConfigurationError, HoldfastError


class LocalStackError(HoldfastError):
    """The embedded Temporal or Postgres cannot be used."""


class TemporalBinaryMissing(LocalStackError):
    """No `temporal` executable was found, and none could be downloaded or built."""


class WrongTemporalBinary(TemporalBinaryMissing, ConfigurationError):
    """The `temporal` executable that is set is none."""


class PostgresBinariesMissing(LocalStackError):
    """The wheel that carries the Postgres binaries is not installed, or is another version."""


class ServerStartFailed(LocalStackError):
    """A server exited or stayed silent while starting; the message ends with its last log lines."""


class ServerNotRunning(LocalStackError):
    """The operation needs a server that this object has started."""


class DataInUse(LocalStackError):
    """Another process runs a server on this data folder, or holds the folder and does not answer."""


class DataUnusable(LocalStackError):
    """The Postgres data cannot be opened: another major version made it, or parts are missing."""
