"""Knowledge: questions that the help centre's articles answer, with citations."""

from holdfast.subgraphs.contract import Subgraph
from holdfast.subgraphs.knowledge.graph import build

knowledge = Subgraph(
    name="knowledge",
    description="General questions about rules, conditions and how things work, answered from the "
    "help centre.",
    graph=build,
)
