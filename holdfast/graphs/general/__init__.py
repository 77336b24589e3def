"""General: greetings, thanks, small talk, and what nobody else is there for."""

from holdfast.contract.subgraph import Subgraph
from holdfast.graphs.general.graph import build

general = Subgraph(
    name="general",
    description="Greetings, thanks, small talk, questions about the assistant itself.",
    graph=build,
)
