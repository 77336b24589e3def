"""An approval as the demonstration's reviewers have it in front of them."""

from collections.abc import Iterator

from holdfast import ApprovalRecord

Row = tuple[str, str]


def card_of(approval: ApprovalRecord) -> list[Row]:
    """What is asked for and why, what it changes, who has to agree until when: names and values."""
    return [
        ("reason", approval.reason),
        *(("evidence", line) for line in approval.evidence),
        *_actions(approval),
        ("policy", _policy(approval)),
        ("needs", f"{needs_in_words(approval)}, until {approval.expires_at:%d %B %H:%M} UTC"),
        *_schedule(approval),
        ("digest", f"{approval.args_digest[:16]}…, which the decision quotes"),
    ]


def needs_in_words(approval: ApprovalRecord) -> str:
    """'2 people of refunds, nobody who asked for it (four eyes)': what is missing now."""
    return " and ".join(
        f"{'1 person' if one.quorum == 1 else f'{one.quorum} people'} of {' or '.join(one.roles)}"
        + (", nobody who asked for it (four eyes)" if one.four_eyes else "")
        + (", of different teams" if one.other_team else "")
        for one in approval.approval.open_requirements()
    )


def _actions(approval: ApprovalRecord) -> Iterator[Row]:
    """Each action by its description; by its arguments where it has none."""
    for action in approval.actions:
        if action.description is None:
            arguments = ", ".join(f"{name}={value}" for name, value in action.arguments.items())
            yield "action", f"{action.name}({arguments})"
            continue
        yield "action", action.description.title
        for change in action.description.changes:
            before, after = change.before or "nothing", change.after or "nothing"
            yield "changes", f"{change.what}: {before} → {after}"


def _policy(approval: ApprovalRecord) -> str:
    decided = f"{approval.policy_name} {approval.policy_version}"
    return f"{decided}: {approval.policy_reason}" if approval.policy_reason else decided


def _schedule(approval: ApprovalRecord) -> Iterator[Row]:
    """What happens while nobody decides."""
    for alarm in approval.approval.schedule:
        seconds = (alarm.at - approval.requested_at).total_seconds()
        what = "people are reminded"
        if alarm.kind == "escalate":
            what = f"{' and '.join(alarm.roles)} may decide, too"
        yield f"in {seconds:.0f} s", f"{what}, unless it is decided by then"
