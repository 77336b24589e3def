"""The conversation's workflow as somebody might change it."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

from holdfast.workflows.conversation import ConversationWorkflow

with workflow.unsafe.imports_passed_through():
    from holdfast.domain import wire


@workflow.defn(name=wire.CONVERSATION_WORKFLOW)
class Pausing(ConversationWorkflow):
    """Sleeps before each turn: open conversations find a timer where their next step was."""

    @workflow.run
    async def run(self, *received: Any) -> None:
        await super().run(*received)

    async def _work(self) -> None:
        await workflow.sleep(timedelta(seconds=1))
        await super()._work()


@workflow.defn(name=wire.CONVERSATION_WORKFLOW)
class PausingFromNowOn(ConversationWorkflow):
    """Sleeps before each turn that has not begun yet."""

    @workflow.run
    async def run(self, *received: Any) -> None:
        await super().run(*received)

    async def _work(self) -> None:
        if workflow.patched("pause-before-turns"):
            await workflow.sleep(timedelta(seconds=1))
        await super()._work()


@workflow.defn(name=wire.CONVERSATION_WORKFLOW)
class Failing(ConversationWorkflow):
    """Has a bug in what goes on after a decision."""

    @workflow.run
    async def run(self, *received: Any) -> None:
        await super().run(*received)

    async def _work(self) -> None:
        if self._desk.next_to_resume() is not None:
            raise KeyError("decision")
        await super()._work()
