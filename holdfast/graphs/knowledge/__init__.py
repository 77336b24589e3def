"""Knowledge: questions that the help centre's articles answer, with citations."""

from holdfast.contract.subgraph import Subgraph
from holdfast.graphs.knowledge.graph import build

knowledge = Subgraph(
    name="knowledge",
    description="General questions about rules, conditions and how things work, answered from the "
    "help centre.",
    graph=build,
)
