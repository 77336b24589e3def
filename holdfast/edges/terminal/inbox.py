"""Shows approvals to reviewers: what is asked for, why, what it would change, who has to say so."""

import shlex
from datetime import UTC, datetime

from rich.console import Console

from holdfast.domain.records import ApprovalRecord, AskedAction
from holdfast.domain.terms import Requirement
from holdfast.edges.terminal.lines import show_line

_UNDER = " " * 12


def show_approval(console: Console, approval: ApprovalRecord) -> None:
    """Print an approval as its reviewers need it."""

    def row(label: str, text: str, style: str = "") -> None:
        show_line(console, text, style=style, label=f"  {label:<9} ")

    where = f"conversation {approval.conversation}, turn {approval.turn}, agent {approval.agent}"
    show_line(console, f"{approval.id}: {approval.state}, {where}", style="bold")
    row("customer", f"{approval.customer}: {approval.question}")
    row("why", approval.reason)
    for evidence in approval.evidence:
        row("evidence", evidence)
    if approval.policy_reason:
        row("policy", f"{approval.policy_name} {approval.policy_version}: {approval.policy_reason}")
    for action in approval.actions:
        _show_action(console, action)
    if approval.stale_reason:
        row("stale", approval.stale_reason, style="yellow")
    for decision in approval.decisions:
        refused = f", refused: {decision.refusal}" if decision.refusal else ""
        to = f" to {decision.delegate}" if decision.delegate else ""
        said = f" ({decision.text})" if decision.text else ""
        row("decision", f"{decision.kind}{to} by {decision.reviewer}{said}{refused}")
    if approval.state == "pending":
        _show_what_is_missing(console, approval)


def requirement_in_words(requirement: Requirement) -> str:
    """What is missing, in words: how many people, of which roles, under which rules."""
    rules = [
        *(["four eyes"] if requirement.four_eyes else []),
        *(["different teams"] if requirement.other_team else []),
    ]
    under = f" ({', '.join(rules)})" if rules else ""
    return f"{requirement.quorum} of {' or '.join(requirement.roles)}{under}"


def _show_action(console: Console, action: AskedAction) -> None:
    description = action.description
    title = description.title if description else action.name
    show_line(console, f"{title} [{action.name}]", style="cyan", label=f"  {'action':<9} ")
    if description is None:
        return
    for change in description.changes:
        before, after = change.before or "nothing", change.after or "nothing"
        show_line(console, f"{change.what}: {before} → {after}", label=_UNDER)
    for detail in description.details:
        show_line(console, f"{detail.label}: {detail.value}", style="dim", label=_UNDER)


def _show_what_is_missing(console: Console, approval: ApprovalRecord) -> None:
    missing = approval.approval.open_requirements()
    needs = " and ".join(requirement_in_words(one) for one in missing)
    show_line(console, needs, label=f"  {'needs':<9} ")
    until = approval.claimed_until
    if approval.claimed_by and until and until > datetime.now(UTC):
        show_line(console, f"by {approval.claimed_by}, {_left(until)}", label=f"  {'claimed':<9} ")
    if approval.due_at != approval.expires_at:
        show_line(console, _left(approval.due_at), label=f"  {'next':<9} ")
    show_line(console, _left(approval.expires_at), label=f"  {'deadline':<9} ")
    role = f" --role {shlex.quote(missing[0].roles[0])}" if missing else ""
    command = f"holdfast approve {approval.id} --as YOU{role}"
    show_line(console, command, label=f"  {'approve':<9} ")


def _left(at: datetime) -> str:
    minutes = int((at - datetime.now(UTC)).total_seconds() // 60)
    left = f"{minutes // 60} h {minutes % 60} min left" if minutes >= 0 else "passed"
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({left})"
