"""What a reviewer puts in the place of what was proposed, and what policy says about it."""

from datetime import datetime

from holdfast.activities.arguments import are_equal
from holdfast.activities.judgement import Judgement, recorded_actions, what_an_edit_needs
from holdfast.activities.policy_input import ProposalOrigin
from holdfast.activities.repeats import denied_repeats
from holdfast.activities.resources import Resources
from holdfast.domain.activity_protocol import DecisionRequest
from holdfast.domain.errors import InvalidEdit
from holdfast.domain.identity import ConversationKey
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.terms import EditTerms
from holdfast.store.actions import replace_action
from holdfast.store.conversations import read_conversation
from holdfast.store.pool import Connection


async def edit_origin(
    connection: Connection, request: DecisionRequest, record: ApprovalRecord
) -> ProposalOrigin:
    """Where the arguments that a reviewer edits come from.

    Raises:
        InvalidEdit: the edit is of other actions.
    """
    decision = request.decision
    names = [action.name for action in record.actions]
    edited = [action.name for action in decision.actions]
    if edited != names:
        raise InvalidEdit(
            f"an edit keeps the actions: {', '.join(names)}; it has {', '.join(edited)}"
        )
    key = ConversationKey(request.tenant, record.conversation)
    conversation = await read_conversation(connection, key)
    return ProposalOrigin(
        key=key.turn_key(record.turn).step_key(record.step),
        agent=record.agent,
        customer=record.customer,
        priority=conversation.priority,
        language=conversation.language,
        opened_at=conversation.created_at,
        approval=record.id,
    )


def edited_actions(
    resources: Resources, request: DecisionRequest, record: ApprovalRecord
) -> list[ProposedAction]:
    """The actions with their new arguments. What an edit does not change stays as it is recorded: "150.0"
    in the place of "150" is no change."""
    return [
        one.model_copy(update={"arguments": asked.arguments})
        if are_equal(resources.registry.action(one.name), one.arguments, asked.arguments)
        else one
        for one, asked in zip(request.decision.actions, record.actions, strict=True)
    ]


async def record_edit(
    resources: Resources,
    origin: ProposalOrigin,
    judgement: Judgement,
    connection: Connection,
    at: datetime,
) -> EditTerms:
    """Record edited arguments in the place of what was proposed; what policy says they need.

    Raises:
        InvalidEdit: they do not fit the actions, or policy does not let them through.
    """
    problems = [action.error for action in judgement.actions if action.error]
    problems = problems or await denied_repeats(resources, connection, origin, judgement)
    if problems:
        raise InvalidEdit(" ".join(problems))
    assert origin.approval is not None
    for edited in recorded_actions(origin, judgement, approval=origin.approval):
        await replace_action(connection, origin.key.tenant, origin.approval, edited)
    return what_an_edit_needs(judgement, now=at)
