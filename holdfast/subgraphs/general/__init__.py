"""General: greetings, thanks, small talk, and what nobody else is there for."""

from holdfast.subgraphs.contract import Subgraph
from holdfast.subgraphs.general.graph import build

general = Subgraph(
    name="general",
    description="Greetings, thanks, small talk, questions about the assistant itself.",
    graph=build,
)
