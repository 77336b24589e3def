"""Everything that brought packages add up to: agents by name, actions by name, policies by tenant."""

import importlib
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import langgraph.graph

from holdfast.contract.action import AnyAction
from holdfast.contract.package import Customer, Package
from holdfast.contract.subgraph import AgentCard, Subgraph
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.failures import in_words
from holdfast.domain.fleet import Capabilities, ServedAction, ServedAgent
from holdfast.domain.ids import is_id
from holdfast.domain.policy import Policy
from holdfast.domain.wire import TRIAGE
from holdfast.graphs.runner import SubgraphRunner
from holdfast.graphs.triage.assessment import PERSON
from holdfast.packages.policies import PolicyBook

ENTRY_POINTS = "holdfast.packages"
"""The entry point group in which an installed distribution names its package."""

_OURS = Path(__file__).parents[1]
_LANGGRAPH = Path(langgraph.graph.__file__).parents[1]


class Registry:
    """The agents, actions and policies of one process. Checked as a whole when it is built.

    Args:
        builtin: the subgraphs that every installation has, triage among them. A package replaces one by
            a subgraph of its name.
        packages: what was brought.
        policy_dir: the folder of the tenants' own policies; see `holdfast.packages.policies`.

    Raises:
        ConfigurationError: a name is used twice or may not be used, or a graph cannot be built, or a
            policy cannot be used.
    """

    def __init__(
        self,
        *,
        builtin: Sequence[Subgraph],
        packages: Sequence[Package] = (),
        policy_dir: Path | None = None,
    ) -> None:
        brought = [subgraph for package in packages for subgraph in package.subgraphs]
        for given in (brought, builtin):
            _require_unique("subgraph", [subgraph.name for subgraph in given])
        replaced = {subgraph.name for subgraph in brought}
        builtin = [subgraph for subgraph in builtin if subgraph.name not in replaced]
        subgraphs = [*builtin, *brought]
        if any(subgraph.name == PERSON for subgraph in subgraphs):
            raise ConfigurationError(
                f"no subgraph can be named {PERSON!r}: triage calls a person by that name"
            )
        _require_unique(
            "action", [action.name for package in packages for action in package.actions]
        )
        self.packages = tuple(packages)
        self._builtin = frozenset(subgraph.name for subgraph in builtin)
        self._runners = {subgraph.name: _compiled(subgraph) for subgraph in subgraphs}
        self._actions = {action.name: action for package in packages for action in package.actions}
        self._customers = {
            action.name: package.customer for package in packages for action in package.actions
        }
        self.policies = PolicyBook(
            policy_dir,
            {action.name: package.policy for package in packages for action in package.actions},
        )

    def agents(self) -> tuple[AgentCard, ...]:
        """Every subgraph that a message can be routed or handed to."""
        return tuple(
            AgentCard(name=runner.name, description=runner.description)
            for runner in self._runners.values()
            if runner.name != TRIAGE
        )

    def has(self, name: str) -> bool:
        """Whether there is a subgraph of this name."""
        return name in self._runners

    def served(self) -> Capabilities:
        """All of it, as the other workers of the deployment get to know it."""
        package_of = {
            subgraph.name: package.name
            for package in self.packages
            for subgraph in package.subgraphs
        }
        agents = (
            ServedAgent(
                name=runner.name,
                description=runner.description,
                package=package_of.get(runner.name),
                graphs=runner.graphs,
            )
            for runner in self._runners.values()
            if runner.name != TRIAGE
        )
        actions = (
            ServedAction(name=action.name, package=package.name)
            for package in self.packages
            for action in package.actions
        )
        return Capabilities(agents=tuple(agents), actions=tuple(actions))

    def is_builtin(self, name: str) -> bool:
        """Whether every installation has this subgraph, rather than a package. Those propose nothing."""
        return name in self._builtin

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

    def customer(self, action: str) -> Customer | None:
        """What the package of this action says of a customer."""
        return self._customers.get(action)

    def policy(self, tenant: str, action: str) -> Policy:
        """The policy that decides about this action for this tenant."""
        return self.policies.policy(tenant, action)


def load_packages(names: Iterable[str]) -> list[Package]:
    """The packages that the settings name: `module:attribute`, or the name of an entry point.

    Without any name, every installed entry point of the group `holdfast.packages`.

    Raises:
        ConfigurationError: one cannot be found or imported, is not a `Package`, or is there twice.
    """
    packages = [_load_package(place) for place in _places(names)]
    _require_unique("package", [package.name for package in packages])
    return packages


def package_modules(names: Iterable[str]) -> list[str]:
    """The modules in which these packages are, named as for `load_packages`."""
    return [place.partition(":")[0] for place in _places(names)]


def _places(names: Iterable[str]) -> list[str]:
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return [installed.get(name, name) for name in names or installed]


def _load_package(name: str) -> Package:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute or "package")
    except (Exception, SystemExit) as error:  # a module of theirs may raise anything
        if where := _where(error):
            problem = f"cannot load the package {name!r}: {_in_words(error)}, at {where}"
        else:
            problem = (
                f"cannot load the package {name!r} ({error}); name it as module:attribute, in a module "
                "that can be imported, or install a distribution with that entry point in the group "
                f"{ENTRY_POINTS!r}"
            )
        raise ConfigurationError(problem) from error
    if not isinstance(found, Package):
        raise ConfigurationError(f"{name!r} is a {type(found).__name__}, not a holdfast.Package")
    return found


def _compiled(subgraph: Subgraph) -> SubgraphRunner:
    try:
        return SubgraphRunner(subgraph)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # a builder of theirs may raise anything
        problem = f"the graph of subgraph {subgraph.name!r} cannot be built: {_in_words(error)}"
        if where := _where(error):
            problem += f", at {where}"
        raise ConfigurationError(problem) from error


def _in_words(error: BaseException) -> str:
    """What errors of these kinds say are names of code, and so is what LangGraph finds wrong with a graph;
    what others say may be a value."""
    frames = traceback.extract_tb(error.__traceback__)
    of_langgraph = bool(frames) and Path(frames[-1].filename).is_relative_to(_LANGGRAPH)
    if of_langgraph or isinstance(error, ImportError | AttributeError | NameError | SyntaxError):
        return f"{type(error).__name__}: {error}"
    return in_words(error)


def _where(error: BaseException) -> str:
    """The lines of brought code that led to an error, the innermost last; "" where none has run."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    places = [(one.filename, one.lineno) for one in traceback.extract_tb(error.__traceback__)]
    return " → ".join(
        f"{file}:{line}"
        for file, line in places
        if file[0] != "<"
        and file != importlib.__file__
        and not any(Path(file).is_relative_to(root) for root in (_OURS, _LANGGRAPH))
    )


def _require_unique(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if not is_id(name):
            raise ConfigurationError(f"{kind}s cannot be named {name!r}")
        if names.count(name) > 1:
            raise ConfigurationError(f"there are two {kind}s named {name!r}")
