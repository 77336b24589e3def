"""Everything that brought packages add up to: agents by name, actions by name, policies by tenant.

The policies of tenants are files in one folder, which `HOLDFAST_POLICY_DIR` names: `{tenant}.yaml`
is that tenant's, and `default.yaml` that of every tenant without a file. What neither covers is
decided by the policies that the packages bring.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.ids import is_id
from holdfast.domain.policy import Policy, load_policy
from holdfast.domain.wire import TRIAGE
from holdfast.subgraphs.action import AnyAction
from holdfast.subgraphs.contract import AgentCard, Subgraph
from holdfast.subgraphs.package import Package
from holdfast.subgraphs.runner import SubgraphRunner

ENTRY_POINTS = "holdfast.packages"
"""The entry point group in which an installed distribution names its package."""

EVERY_OTHER_TENANT = "default"
"""The name of the policy of tenants that have none of their own."""

_CAUTIOUS = Policy(name="none", version=1)
"""For actions of packages that bring no policy: every one needs an approval."""


class Registry:
    """The agents, actions and policies of one process. Checked as a whole when it is built.

    Args:
        builtin: the subgraphs that every installation has, triage among them.
        packages: what was brought.
        policies: a tenant's own policy, in the place of those that packages bring; the one named
            "default" is that of every tenant that has none.

    Raises:
        ConfigurationError: a name is used twice or may not be used, or a policy names an action
            that nobody brought.
    """

    def __init__(
        self,
        *,
        builtin: Sequence[Subgraph],
        packages: Sequence[Package] = (),
        policies: Mapping[str, Policy] | None = None,
    ) -> None:
        brought = [(subgraph, package) for package in packages for subgraph in package.subgraphs]
        subgraphs = [*builtin, *(subgraph for subgraph, _ in brought)]
        _require_unique("subgraph", [subgraph.name for subgraph in subgraphs])
        _require_unique(
            "action", [action.name for package in packages for action in package.actions]
        )
        self.packages = tuple(packages)
        self._runners = {subgraph.name: SubgraphRunner(subgraph) for subgraph in subgraphs}
        self._actions = {action.name: action for package in packages for action in package.actions}
        self._policies = dict(policies or {})
        self._package_policies = {
            action.name: policy
            for package in packages
            for policy in [_policy_of(package)]
            for action in package.actions
        }
        for policy in [*self._policies.values(), *self._package_policies.values()]:
            if unknown := set(policy.actions) - set(self._actions):
                raise ConfigurationError(
                    f"policy {policy.name!r} has rules for unknown actions: "
                    f"{', '.join(sorted(unknown))}"
                )

    def agents(self) -> tuple[AgentCard, ...]:
        """Every subgraph that a message can be routed or handed to."""
        return tuple(
            AgentCard(name=runner.name, description=runner.description)
            for runner in self._runners.values()
            if runner.name != TRIAGE
        )

    def runner(self, name: str) -> SubgraphRunner:
        """The subgraph of this name.

        Raises:
            ConfigurationError: there is none.
        """
        if name not in self._runners:
            raise ConfigurationError(
                f"there is no subgraph {name!r}; this worker has {', '.join(self._runners)}"
            )
        return self._runners[name]

    def action(self, name: str) -> AnyAction | None:
        """The action of this name."""
        return self._actions.get(name)

    def policy(self, tenant: str, action: str) -> Policy:
        """The policy that decides about this action for this tenant."""
        own = self._policies.get(tenant) or self._policies.get(EVERY_OTHER_TENANT)
        return own or self._package_policies.get(action, _CAUTIOUS)


def load_packages(names: Iterable[str]) -> list[Package]:
    """The packages that the settings name: `module:attribute`, or the name of an entry point.

    Without any name, every installed entry point of the group `holdfast.packages`.

    Raises:
        ConfigurationError: one cannot be found, is not a `Package`, or is there twice.
    """
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    packages = [_load_package(installed.get(name, name)) for name in names or installed]
    _require_unique("package", [package.name for package in packages])
    return packages


def load_policies(folder: Path | None) -> dict[str, Policy]:
    """The policies in a folder, by tenant: `{tenant}.yaml`, or `default.yaml`.

    Raises:
        ConfigurationError: the folder or a file in it cannot be used.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigurationError(f"the policy folder {folder} does not exist")
    return {
        path.stem: load_policy(_text(path), source=str(path))
        for path in sorted(folder.glob("*.yaml"))
    }


def _load_package(name: str) -> Package:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute or "package")
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"cannot load the package {name!r} ({error}); name it as module:attribute, in a module "
            "that can be imported, or install a distribution with that entry point in the group "
            f"{ENTRY_POINTS!r}"
        ) from error
    if not isinstance(found, Package):
        raise ConfigurationError(f"{name!r} is a {type(found).__name__}, not a holdfast.Package")
    return found


def _policy_of(package: Package) -> Policy:
    if package.policy is None:
        return _CAUTIOUS
    return load_policy(_text(package.policy), source=str(package.policy))


def _text(policy: Path) -> str:
    try:
        return policy.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the policy {policy}: {error}") from error


def _require_unique(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if not is_id(name):
            raise ConfigurationError(f"{kind}s cannot be named {name!r}")
        if names.count(name) > 1:
            raise ConfigurationError(f"there are two {kind}s named {name!r}")
