"""Actions as LangChain's tools."""

from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool

from holdfast.contract.action import AnyAction
from holdfast.contract.chat import Tool
from holdfast.contract.confirmation import CONFIRMED, with_again
from holdfast.contract.dialogue import last_words
from holdfast.contract.exchange import action_answer, answer_text
from holdfast.contract.running import current_run
from holdfast.contract.subgraph import propose
from holdfast.contract.tool_agent import Rationale, quoted
from holdfast.domain.outcomes import ProposedAction

Explain = Callable[[ProposedAction], Rationale]


class ActionTool(BaseTool):
    """A tool that proposes an action, and answers with what became of it."""

    explain: Explain

    def _run(self, /, **arguments: Any) -> str:
        again = arguments.pop(CONFIRMED, None) is True
        action = ProposedAction(name=self.name, arguments=arguments)
        rationale = self.explain(action)
        (result,) = propose(
            action,
            reason=rationale.reason,
            evidence=rationale.evidence,
            holding_message=rationale.holding_message,
            again=again,
        )
        return answer_text(action_answer(result, arguments))

    async def _arun(self, /, **arguments: Any) -> str:
        return self._run(**arguments)


def as_tool(action: AnyAction, *, explain: Explain | None = None) -> BaseTool:
    """A tool for LangChain's agents: when the model calls it, the action is proposed, policy and people
    decide, and the model gets the result. Calls of one answer are one proposal, in its order.

    Args:
        action: it belongs to the package's actions, too.
        explain: why it is proposed, for the reviewer; by default the customer is quoted.
    """
    tool = with_again(Tool.of(action.arguments, name=action.name, description=action.description))
    return ActionTool(
        name=tool.name,
        description=tool.description,
        args_schema=tool.parameters,
        explain=explain or _quote,
    )


def _quote(action: ProposedAction) -> Rationale:
    run = current_run()
    return quoted(last_words(run.said) if run else "")
