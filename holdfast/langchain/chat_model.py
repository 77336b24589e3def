"""A chat model for LangChain's agents, whose calls in a turn are in the ledger."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from openai.types.chat import ChatCompletionMessageParam
from pydantic import ConfigDict, SkipValidation

from holdfast.contract.chat import ChatModel, Completion, Tool, ToolChoice
from holdfast.contract.running import current_run

ResultT = TypeVar("ResultT")

LLM_TYPE = "holdfast"

_OF_TRACING = {"ls_structured_output_format"}


class HoldfastChatModel(BaseChatModel):
    """A LangChain chat model that asks the models which Holdfast is configured with.

    In a node, a tool, or whatever they call, it finds the turn by itself: its calls are in the turn's
    ledger, so that one that was answered is not made again after a crash, and within its bounds.

    Args:
        outside: the model to ask outside of a turn, in a test or a notebook: `holdfast.testing` has one.

    Raises:
        ValueError: an option is given that these models don't take, such as `stop`.
        LookupError: it is called outside of a turn, and there is none for that.
    """

    model_config = ConfigDict(extra="forbid")

    outside: SkipValidation[ChatModel | None] = None

    @property
    def _llm_type(self) -> str:
        return LLM_TYPE

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools. `tool_choice` is "auto", "any" (or "required"), "none", or a tool's name."""
        offered = [convert_to_openai_tool(one) for one in tools]
        return self.bind(tools=offered, tool_choice=tool_choice, **kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[dict[str, Any]] = (),
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        _require_none(stop=stop, **kwargs)
        offered, choice = _tools(tools, tool_choice)
        plain = cast("list[ChatCompletionMessageParam]", convert_to_openai_messages(messages))
        completion = await self._model().chat(plain, tools=offered, tool_choice=choice)
        return ChatResult(generations=[ChatGeneration(message=_message(completion))])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _waited_for(self._agenerate(messages, stop, **kwargs))

    def _model(self) -> ChatModel:
        if (run := current_run()) is not None:
            return run.context.model
        if self.outside is None:
            raise LookupError(
                "HoldfastChatModel is called outside of a turn: say which model it asks there, "
                "HoldfastChatModel(outside=...)"
            )
        return self.outside


def _waited_for(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """What `work` returns, to code that can't wait for it: on the turn's loop, from a thread beside it;
    outside of a turn, on a loop of its own."""
    run = current_run()
    if run is None:
        return _on_a_loop_of_its_own(work)
    if _running_loop() is run.loop:
        work.close()
        raise RuntimeError(
            "a model that is asked synchronously on the event loop would stop it: call `ainvoke` in an "
            "async node, or make the node a plain function, which LangGraph runs in a thread"
        )
    return asyncio.run_coroutine_threadsafe(work, run.loop).result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _on_a_loop_of_its_own(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    if _running_loop() is None:
        return asyncio.run(work)
    ended: list[ResultT] = []
    raised: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            ended.append(asyncio.run(work))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=in_a_thread, daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return ended[0]


def _require_none(**options: Any) -> None:
    given = [
        name for name, value in options.items() if name not in _OF_TRACING and value is not None
    ]
    if given:
        raise ValueError(f"HoldfastChatModel takes no {', '.join(given)}")


def _tools(tools: Sequence[dict[str, Any]], choice: Any) -> tuple[list[Tool], ToolChoice]:
    offered = [
        Tool(
            name=one["function"]["name"],
            description=one["function"].get("description", ""),
            parameters=one["function"].get("parameters", {"type": "object", "properties": {}}),
        )
        for one in tools
    ]
    if isinstance(choice, dict):
        choice = choice.get("function", choice).get("name") or str(choice)
    match choice:
        case None | "auto" | False:
            return offered, "auto"
        case "none":
            return offered, "none"
        case "any" | "required" | True:
            return offered, "required"
        case _:
            wanted = [tool for tool in offered if tool.name == choice]
            if not wanted:
                raise ValueError(f"tool_choice names {choice!r}, which is none of the tools")
            return wanted, "required"


def _message(completion: Completion) -> AIMessage:
    return AIMessage(
        content=completion.text,
        tool_calls=[
            {"id": call.id, "name": call.name, "args": call.arguments, "type": "tool_call"}
            for call in completion.tool_calls
        ],
        usage_metadata={
            "input_tokens": completion.prompt_tokens,
            "output_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        },
        response_metadata={
            "model_name": completion.model,
            "provider": completion.provider,
            "degraded": completion.degraded,
        },
    )
