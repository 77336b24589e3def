"""The policies of tenants and packages, read from their files, and read again when these change.

The policies of tenants are files in one folder, which `HOLDFAST_POLICY_DIR` names: `{tenant}.yaml`
is that tenant's, and `default.yaml` that of every tenant without a file. What neither covers is
decided by the policies that the packages bring.
"""

from collections.abc import Mapping
from pathlib import Path

from holdfast.domain.errors import ConfigurationError, PolicyError
from holdfast.domain.policy import Policy, load_policy
from holdfast.runtime.tenant_files import TenantFiles

_CAUTIOUS = Policy(name="none", version=1)
"""Every action needs an approval: for actions of packages that bring no policy, and for tenants whose
policy has never been one."""


class PolicyBook:
    """Which policy decides about an action of a tenant, at this moment.

    A file that cannot be used, or whose text has changed under the same name and version, leaves the
    policy in force that it had, and a new one makes every action of its tenants need an approval.

    Args:
        folder: the tenants' policies.
        packaged: the policy file of the package that brings an action, by the action's name.

    Raises:
        ConfigurationError: the folder is missing, or `default.yaml` or a package's file cannot be used.
    """

    def __init__(self, folder: Path | None, packaged: Mapping[str, Path | None]) -> None:
        self._packaged = dict(packaged)
        self._files = TenantFiles(
            "policy",
            folder,
            read=self._load,
            unusable=_CAUTIOUS,
            replace=_require_new_version,
            also=(path for path in packaged.values() if path is not None),
        )

    async def watch(self) -> None:
        """Look at the files in a thread of its own, until it is cancelled."""
        await self._files.watch()

    def policy(self, tenant: str, action: str) -> Policy:
        """The policy that decides about this action for this tenant."""
        if (own := self._files.of(tenant)) is not None:
            return own
        packaged = self._packaged.get(action)
        return self._files.at(packaged) if packaged is not None else _CAUTIOUS

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """What is in force: for each folder, its files with the digests of their policies."""
        found: dict[str, dict[str, str]] = {}
        for path, one in self._files.in_force().items():
            policy = f"{one.name} {one.version} {one.digest}"
            found.setdefault(str(path.parent), {})[path.name] = policy
        return found

    def problems(self) -> list[str]:
        """What is wrong with files that are not in force as they are."""
        return self._files.problems()

    def _load(self, text: str, source: str) -> Policy:
        policy = load_policy(text, source=source)
        if unknown := sorted(policy.named_actions().keys() - self._packaged.keys()):
            raise ConfigurationError(
                f"policy {policy.name!r} ({source}) has rules for unknown actions: {', '.join(unknown)}"
            )
        return policy


def _require_new_version(path: Path, known: Policy, policy: Policy) -> None:
    same = (known.name, known.version) == (policy.name, policy.version)
    if same and known.digest != policy.digest:
        raise PolicyError(
            f"{path}: the text has changed, and it is still version {policy.version} of "
            f"{policy.name!r}; raise the version"
        )
