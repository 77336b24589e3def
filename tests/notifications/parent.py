"""A workflow that has notifications sent as a conversation does, and ends at once."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.notifications import NotificationStart

from holdfast.workflows.notifications import start_notifications


@workflow.defn
class Parent:
    """Starts the notifications twice, as a reset conversation would."""

    @workflow.run
    async def run(self, start: NotificationStart) -> None:
        await start_notifications(start)
        await start_notifications(start)
        await start_notifications(start.model_copy(update={"deliveries": ()}))
