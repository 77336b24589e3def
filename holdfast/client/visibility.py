"""Lists conversations from Temporal's visibility store."""

from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.dispatch import failure_of
from holdfast.client.validation import require_text
from holdfast.client.views import ListedConversation
from holdfast.domain import wire
from holdfast.domain.conversation import ConversationPhase
from holdfast.domain.errors import InvalidRequest, Unavailable
from holdfast.domain.identity import ConversationKey

_STATUS = SearchAttributeKey.for_keyword("HoldfastStatus")
_AGENT = SearchAttributeKey.for_keyword("HoldfastAgent")
_PRIORITY = SearchAttributeKey.for_keyword("HoldfastPriority")

_IDS_PER_QUERY = 100


async def list_conversations(
    temporal: Client,
    tenant: str,
    *,
    status: ConversationPhase | None,
    query: str | None,
    limit: int,
) -> list[ListedConversation]:
    """At most `limit` conversations whose latest run matches, running ones first.

    Raises:
        InvalidRequest: Temporal does not understand the query.
        Unavailable: Temporal does not answer.
    """
    wanted = [f"WorkflowType = '{wire.CONVERSATION_WORKFLOW}'", f"HoldfastTenant = '{tenant}'"]
    wanted.append("ExecutionStatus != 'ContinuedAsNew'")
    if status is not None:
        wanted.append(f"HoldfastStatus = '{status}'")
    if query:
        require_text(query, "query")
        wanted.append(f"({query})")
    try:
        found = await _newest(temporal.list_workflows(" AND ".join(wanted)), tenant, limit)
        latest = await _latest_runs(temporal, tenant, list(found))
    except RPCError as error:
        if query and error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise InvalidRequest(f"Temporal does not take the query: {error.message}") from error
        raise failure_of(error) or Unavailable(f"Temporal does not answer: {error}") from error
    return [_line(run) for run in found.values() if latest.get(run.id, run.run_id) == run.run_id]


async def _latest_runs(temporal: Client, tenant: str, ids: list[str]) -> dict[str, str]:
    """The newest run of each workflow: one that was closed and reopened has older ones as well."""
    newest: dict[str, WorkflowExecution] = {}
    for start in range(0, len(ids), _IDS_PER_QUERY):
        names = ", ".join(f"'{one}'" for one in ids[start : start + _IDS_PER_QUERY])
        query = f"WorkflowId IN ({names}) AND ExecutionStatus != 'ContinuedAsNew'"
        newest |= await _newest(temporal.list_workflows(query), tenant)
    return {one: run.run_id for one, run in newest.items()}


async def _newest(
    runs: AsyncIterator[WorkflowExecution], tenant: str, limit: int | None = None
) -> dict[str, WorkflowExecution]:
    """The newest of the runs of each workflow, of `limit` workflows at most."""
    newest: dict[str, WorkflowExecution] = {}
    async for run in runs:
        # A query of somebody else's making must not show another tenant's conversations.
        if not run.id.startswith(f"{tenant}/"):
            continue
        known = newest.get(run.id)
        if known is None and len(newest) == limit:
            break
        if known is None or run.start_time > known.start_time:
            newest[run.id] = run
    return newest


def _line(run: WorkflowExecution) -> ListedConversation:
    attributes = run.typed_search_attributes
    return ListedConversation(
        conversation=ConversationKey.of_workflow(run.id).conversation,
        status=attributes.get(_STATUS),
        agent=attributes.get(_AGENT),
        priority=attributes.get(_PRIORITY),
        running=run.status is WorkflowExecutionStatus.RUNNING,
        run=run.run_id,
        started_at=run.start_time,
        ended_at=run.close_time,
    )
