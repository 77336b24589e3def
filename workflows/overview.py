"""What operators see of a conversation: its search attributes, and its details in the Temporal UI."""

import json
from typing import Any

from temporalio import workflow

from holdfast.workflows.approvals import ApprovalDesk

with workflow.unsafe.imports_passed_through():
    from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

    from holdfast.domain.conversation import ConversationPhase, ConversationState
    from holdfast.domain.text import markdown

_STATUS = SearchAttributeKey.for_keyword("HoldfastStatus")
_AGENT = SearchAttributeKey.for_keyword("HoldfastAgent")
_PRIORITY = SearchAttributeKey.for_keyword("HoldfastPriority")
_ROLES = SearchAttributeKey.for_keyword_list("HoldfastApprovalRoles")
_DUE = SearchAttributeKey.for_datetime("HoldfastApprovalDue")
_KEYS: tuple[SearchAttributeKey[Any], ...] = (_STATUS, _AGENT, _PRIORITY, _ROLES, _DUE)


_LARGEST_ROLES = 2_000
"""Bytes of a list of roles; Temporal fails the workflow task over an attribute of more than 2 KiB, forever."""


class Overview:
    """Keeps the search attributes and the details up to date."""

    def __init__(self, state: ConversationState, desk: ApprovalDesk) -> None:
        self._state = state
        self._desk = desk
        known = workflow.info().typed_search_attributes
        self._published = {key.name: known.get(key) for key in _KEYS}

    def _phase(self) -> ConversationPhase:
        """The phase of a conversation that is not closed."""
        if self._state.takeover is not None:
            return "awaiting_human"
        return "awaiting_approval" if self._desk.waiting() else "open"

    def publish(self, *, closed: bool = False) -> None:
        """Set what has changed; unchanged attributes add nothing to the history."""
        phase: ConversationPhase = "closed" if closed else self._phase()
        waiting = [] if closed else [parked.approval for parked in self._desk.waiting()]
        values = (
            phase,
            self._state.agent,
            self._state.priority,
            _listed({role for approval in waiting for role in approval.roles}) or None,
            min((approval.due_at for approval in waiting), default=None),
        )
        changes: list[SearchAttributeUpdate[Any]] = []
        for key, value in zip(_KEYS, values, strict=True):
            if self._published[key.name] != value:
                changes.append(key.value_unset() if value is None else key.value_set(value))
                self._published[key.name] = value
        if changes:
            workflow.upsert_search_attributes(changes)
        workflow.set_current_details(self._details(phase))

    def _details(self, phase: ConversationPhase) -> str:
        state = self._state
        lines = [f"**{phase}** after {state.turns} turns, agent: {state.agent or 'none'}"]
        lines += [
            f"- turn {parked.turn} waits for approval `{parked.approval.id}` by "
            f"{' or '.join(map(markdown, parked.approval.roles))} since "
            f"{parked.approval.requested_at:%Y-%m-%d %H:%M} UTC, "
            f"until {parked.approval.expires_at:%Y-%m-%d %H:%M} UTC"
            for parked in self._desk.waiting()
        ]
        if state.takeover is not None:
            lines.append(
                f"- waits for {markdown(state.takeover.reviewer or 'a person')} since "
                f"{state.takeover.since:%Y-%m-%d %H:%M} UTC: {markdown(state.takeover.reason)}"
            )
        return "\n".join(lines)


def _listed(roles: set[str]) -> list[str]:
    """The roles in order, as many as an attribute takes."""
    listed = sorted(roles)
    while len(json.dumps(listed)) > _LARGEST_ROLES:
        listed.pop()
    return listed
