"""The policies of tenants and packages, read from their files, and read again when these change.

The policies of tenants are files in one folder, which `HOLDFAST_POLICY_DIR` names: `{tenant}.yaml`
is that tenant's, and `default.yaml` that of every tenant without a file. What neither covers is
decided by the policies that the packages bring.
"""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.domain.errors import ConfigurationError, PolicyError
from holdfast.domain.ids import is_id
from holdfast.domain.policy import Policy, load_policy

_logger = logging.getLogger(__name__)

EVERY_OTHER_TENANT = "default"
"""The name of the policy of tenants that have none of their own."""

LOOK_SECONDS = 1.0
"""Time between two looks at the files."""

_CAUTIOUS = Policy(name="none", version=1)
"""For actions of packages that bring no policy: every one needs an approval."""

_Stamp = tuple[int, int, int]


@dataclass
class _File:
    """A policy file: how it looked when it was last read, and what is in force."""

    stamp: _Stamp
    policy: Policy
    problem: str | None = None


class PolicyBook:
    """Which policy decides about an action of a tenant, at this moment.

    A file that is changed, added or removed takes effect within a second. One that cannot be used,
    or whose text has changed under the same name and version, leaves the policy in force that it
    had; `problems` tells which.

    Args:
        folder: the tenants' policies.
        packaged: the policy file of the package that brings an action, by the action's name.

    Raises:
        ConfigurationError: a file cannot be used.
    """

    def __init__(self, folder: Path | None, packaged: Mapping[str, Path | None]) -> None:
        self._folder = folder
        self._packaged = dict(packaged)
        self._files: dict[Path, _File] = {}
        self._missing: str | None = None
        self._looked = time.monotonic()
        for path in self._paths():
            self._files[path] = _File(_stamp(path), self._load(path))

    def policy(self, tenant: str, action: str) -> Policy:
        """The policy that decides about this action for this tenant."""
        self._look_again()
        if self._folder is not None:
            for name in (tenant, EVERY_OTHER_TENANT):
                if (own := self._files.get(self._folder / f"{name}.yaml")) is not None:
                    return own.policy
        packaged = self._packaged.get(action)
        return self._files[packaged].policy if packaged is not None else _CAUTIOUS

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """What is in force: for each folder, its files with the digests of their policies."""
        self._look_again()
        found: dict[str, dict[str, str]] = {}
        for path, one in self._files.items():
            policy = f"{one.policy.name} {one.policy.version} {one.policy.digest}"
            found.setdefault(str(path.parent), {})[path.name] = policy
        return found

    def problems(self) -> list[str]:
        """What is wrong with files whose former policy is in force still."""
        self._look_again()
        found = [one.problem for one in self._files.values() if one.problem is not None]
        return found + ([self._missing] if self._missing else [])

    def _look_again(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            paths = self._paths()
        except ConfigurationError as error:
            if self._missing is None:
                _logger.error("policies stay as they were: %s", error)
            self._missing = str(error)
            return
        self._missing = None
        for path in self._files.keys() - paths:
            _logger.info("policy %s is gone", path)
            del self._files[path]
        for path in paths:
            self._look_at(path)

    def _look_at(self, path: Path) -> None:
        known = self._files.get(path)
        try:
            stamp = _stamp(path)
            if known is not None and stamp == known.stamp:
                return
            policy = self._load(path)
            if known is not None:
                _require_new_version(path, known.policy, policy)
        except ConfigurationError as error:
            if known is None:
                self._refuse_new(path, error)
                return
            if known.problem != str(error):
                _logger.error("policy %s stays as it was: %s", known.policy.name, error)
            known.problem = str(error)
            return
        if known is None or known.policy != policy:
            _logger.info("policy %s %s is in force: %s", policy.name, policy.version, path)
        self._files[path] = _File(stamp, policy)

    def _refuse_new(self, path: Path, error: ConfigurationError) -> None:
        """A new file that cannot be used: nobody knows what it would have allowed."""
        _logger.error("every action of this policy's tenants needs an approval: %s", error)
        self._files[path] = _File((0, 0, 0), _CAUTIOUS, problem=str(error))

    def _paths(self) -> set[Path]:
        paths = {path for path in self._packaged.values() if path is not None}
        if self._folder is not None:
            if not self._folder.is_dir():
                raise ConfigurationError(f"the policy folder {self._folder} does not exist")
            paths |= {path for path in self._folder.glob("*.yaml") if is_id(path.stem)}
        return paths

    def _load(self, path: Path) -> Policy:
        policy = load_policy(read_policy_text(path), source=str(path))
        known: Collection[str] = self._packaged
        if unknown := sorted(set(policy.actions) - set(known)):
            raise ConfigurationError(
                f"policy {policy.name!r} ({path}) has rules for unknown actions: "
                f"{', '.join(unknown)}"
            )
        return policy


def read_policy_text(path: Path) -> str:
    """The text of a policy file; raises `ConfigurationError` when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the policy {path}: {error}") from error


def _require_new_version(path: Path, known: Policy, policy: Policy) -> None:
    same = (known.name, known.version) == (policy.name, policy.version)
    if same and known.digest != policy.digest:
        raise PolicyError(
            f"{path}: the text has changed, and it is still version {policy.version} of "
            f"{policy.name!r}; raise the version"
        )


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot read the policy {path}: {error}") from error
    return found.st_mtime_ns, found.st_size, found.st_ino
