"""What the workers of a deployment serve together: agents, actions, and the shapes of the agents' graphs."""

from collections.abc import Mapping

from pydantic import Field

from holdfast.domain.model import Frozen


class GraphShape(Frozen):
    """The nodes and channels that a graph has, or that a snapshot of one needs."""

    nodes: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()


Graphs = Mapping[str, GraphShape]
"""A graph under "", and those nested in it under the names of the nodes that lead to them (`a|b`)."""


class ServedAgent(Frozen):
    """An agent that a worker has; `package` is None for those that every worker has."""

    name: str
    description: str
    package: str | None = None
    graphs: dict[str, GraphShape] = Field(default_factory=dict)


class ServedAction(Frozen):
    """An action that a worker has."""

    name: str
    package: str


class Capabilities(Frozen):
    """What one worker process does."""

    agents: tuple[ServedAgent, ...] = ()
    actions: tuple[ServedAction, ...] = ()

    def packages(self) -> set[str | None]:
        """The packages of which it has something."""
        return {one.package for one in self.agents} | {one.package for one in self.actions}


def missing(needed: Graphs, has: Graphs) -> tuple[str, ...]:
    """What a snapshot needs and these graphs lack, in words; nothing where they can go on from it.

    A nested graph that cannot be found is passed over: LangGraph does not show all of them.
    """
    lacking: list[str] = []
    for place, needs in needed.items():
        graph = has.get(place)
        if graph is None:
            continue
        within = f" in {place}" if place else ""
        lacking += [f"the node {name!r}{within}" for name in sorted(needs.nodes - graph.nodes)]
        lacking += [
            f"the channel {name!r}{within}" for name in sorted(needs.channels - graph.channels)
        ]
    return tuple(lacking)
