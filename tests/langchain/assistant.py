"""A brought package whose only agent is LangChain's, as people write it."""

from langchain.agents import create_agent
from langchain_core.tools import tool

from holdfast import Package, Subgraph, current_turn
from holdfast.langchain import HoldfastChatModel, as_tool
from tests.counter import ACTIONS

ADD = next(one for one in ACTIONS if one.name == "add")


@tool
async def who(question: str) -> str:
    """Who the customer is."""
    return f"It is {current_turn().customer}."


assistant = Subgraph.of_messages(
    create_agent(HoldfastChatModel(), [who, as_tool(ADD)], system_prompt="You count."),
    name="assistant",
    description="Adds to counters.",
)
package = Package(name="assistant", subgraphs=(assistant,))
