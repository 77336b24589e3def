"""What a decision does to an approval, and whether it may be taken. Pure code; the workflow runs it, too."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from holdfast.domain.approval import Approval, ApprovalState
from holdfast.domain.decision import Decision, DecisionKind
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    Claimed,
    DigestMismatch,
    InvalidEdit,
    InvalidRequest,
    NotAllowed,
    Superseded,
)
from holdfast.domain.model import Frozen
from holdfast.domain.participants import Acceptance, Delegation, Lease, Person
from holdfast.domain.people import folded, same_person
from holdfast.domain.terms import EditTerms, Requirement, Terms, in_order, strictest

MOST_COMMENTS = 100
"""Comments on one approval."""

MOST_CHANGES = 100
"""Claims, releases, delegations and edits of one approval, all together. Acceptances, rejections and
responses, which bring it to an end, have no bound."""

MOST_CLAIMS = 3
"""Claims of one person on one approval: nobody keeps others off forever."""

_CHANGES: frozenset[DecisionKind] = frozenset({"claim", "release", "delegate", "edit"})

_SPEAKS_FOR: frozenset[DecisionKind] = frozenset({"accept", "edit", "delegate", "claim"})
"""Decisions only for people whose acceptance would count."""

_NEEDS_TEXT: frozenset[DecisionKind] = frozenset({"reject", "respond", "comment"})


class TakenDecision(Frozen):
    """A decision that was taken, when, and policy's word on it where it is an edit."""

    decision: Decision
    at: datetime
    edit: EditTerms | None = None


def replay(asked: Approval, taken: Iterable[TakenDecision], *, now: datetime) -> Approval:
    """The approval at `now`, worked out from how it was asked for and the decisions alone.

    Raises:
        Refused: a decision could not have been taken.
    """
    approval = asked
    for one in taken:
        approval = decide(approval, one.decision, now=one.at, edit=one.edit)
    return approval.advance(now)


def decide(
    approval: Approval, decision: Decision, *, now: datetime, edit: EditTerms | None = None
) -> Approval:
    """The approval after `decision`, with policy's word on it where it is an edit.

    Raises:
        InvalidEdit: it changes nothing.
        Refused: as `check_decision` says.
    """
    check_decision(approval, decision, now=now)
    approval = approval.advance(now)
    taken = approval.model_copy(
        update={
            "entries": (*approval.entries, decision.id),
            "comments": approval.comments + (decision.kind == "comment"),
            "changes": approval.changes + (decision.kind in _CHANGES),
        }
    )
    match decision.kind:
        case "accept":
            return _accept(taken, decision)
        case "edit":
            if edit is None:
                raise InvalidEdit("nobody has said what the edited arguments need")
            return _edit(taken, decision, edit)
        case "reject":
            return _settle(taken, "rejected", decision)
        case "respond":
            return _settle(taken, "responded", decision)
        case "delegate":
            return _delegate(taken, decision)
        case "claim":
            until = now + timedelta(seconds=approval.claim_seconds)
            return taken.model_copy(
                update={
                    "claim": Lease(reviewer=decision.reviewer, until=until),
                    "claims": (*taken.claims, folded(decision.reviewer)),
                }
            )
        case "release":
            return taken.model_copy(update={"claim": None})
        case "comment":
            return taken


def check_decision(approval: Approval, decision: Decision, *, now: datetime) -> None:
    """Whether `decision` may be taken at `now`.

    Raises:
        AlreadyDecided, ApprovalExpired, Superseded, DigestMismatch, NotAllowed, Claimed,
        InvalidRequest.
    """
    approval = approval.advance(now)
    if approval.ended_by_silence:
        raise ApprovalExpired(
            f"approval {approval.id} expired at {approval.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    if approval.state != "pending":
        raise AlreadyDecided(f"approval {approval.id} is already {approval.state}")
    _check_form(approval, decision)
    if decision.digest != approval.args_digest:
        quoted = f"the decision quotes {decision.digest[:12] or 'none'}…"
        if decision.digest in approval.superseded:
            raise Superseded(
                f"approval {approval.id} was edited since: it waits with digest "
                f"{approval.args_digest[:12]}…, {quoted}; look at the approval again"
            )
        raise DigestMismatch(
            f"approval {approval.id} waits with digest {approval.args_digest[:12]}…, {quoted}; look at "
            "the approval again"
        )
    if decision.kind == "comment":
        return
    _check_person(approval, decision)
    claim = approval.claim
    if claim is not None and not same_person(claim.reviewer, decision.reviewer):
        raise Claimed(
            f"{claim.reviewer} is on approval {approval.id} until {claim.until:%Y-%m-%d %H:%M:%S} UTC"
        )
    if decision.kind == "release" and claim is None:
        raise InvalidRequest(f"nobody has claimed approval {approval.id}")
    if decision.kind == "claim" and approval.claims.count(folded(decision.reviewer)) >= MOST_CLAIMS:
        raise InvalidRequest(
            f"{decision.reviewer} has claimed approval {approval.id} {MOST_CLAIMS} times; decide"
        )
    if decision.kind == "accept" and _has_accepted(approval, decision.reviewer):
        raise AlreadyDecided(
            f"{decision.reviewer} has accepted approval {approval.id}, which {_waits_for(approval)}"
        )


def _check_form(approval: Approval, decision: Decision) -> None:
    kind = decision.kind
    if kind in _NEEDS_TEXT and not decision.text.strip():
        raise InvalidRequest(f"a decision to {kind} needs a text")
    if (kind == "edit") != bool(decision.actions):
        raise InvalidRequest("an edit, and only an edit, carries the edited actions")
    if (kind == "delegate") != (decision.to is not None):
        raise InvalidRequest("a delegation, and only a delegation, says to whom")
    if same_person(decision.to, decision.reviewer):
        raise InvalidRequest("a voice is delegated to somebody else")
    if kind == "comment" and approval.comments >= MOST_COMMENTS:
        raise InvalidRequest(f"approval {approval.id} has {MOST_COMMENTS} comments; decide")
    if kind in _CHANGES and approval.changes >= MOST_CHANGES:
        raise InvalidRequest(
            f"approval {approval.id} was claimed, delegated and edited {MOST_CHANGES} times; accept, "
            "reject, or respond"
        )


def _check_person(approval: Approval, decision: Decision) -> None:
    reviewer = decision.reviewer
    for one in approval.delegations:
        if same_person(one.reviewer, reviewer):
            raise NotAllowed(f"{reviewer} has delegated approval {approval.id} to {one.to}")
    roles = _roles_of(approval, decision)
    accepts = decision.kind == "accept"
    wanted = approval.open_requirements() if accepts else approval.current_requirements()
    matching = [one for one in wanted if set(one.roles) & set(roles)]
    if not matching:
        raise NotAllowed(
            f"approval {approval.id} {_waits_for(approval)}; {reviewer} has {', '.join(roles) or 'none'}"
        )
    if decision.kind not in _SPEAKS_FOR:
        return
    if _has_accepted(approval, decision.to):
        raise NotAllowed(f"{decision.to} has accepted approval {approval.id} already")
    problems = [_objection(approval, one, decision) for one in matching]
    if all(problems):
        raise NotAllowed(f"approval {approval.id}: {problems[0]}")


def _objection(approval: Approval, requirement: Requirement, decision: Decision) -> str | None:
    """Why a person with the right role does not count for this requirement."""
    if requirement.four_eyes:
        for person in approval.requesters:
            if any(person.may_be(one) for one in (decision.reviewer, decision.to)):
                return f"{person.id} asked for this, and needs somebody else's approval"
    if requirement.other_team and decision.kind != "delegate":
        if decision.team is None:
            return f"people of different teams have to approve, and {decision.reviewer} names none"
        accepted = (one.person for one in approval.counting(requirement))
        teams = (person.team for person in (*approval.requesters, *accepted))
        if folded(decision.team) in {folded(team) for team in teams if team is not None}:
            return f"somebody of {decision.reviewer}'s team, {decision.team}, has asked or approved"
    return None


def _has_accepted(approval: Approval, reviewer: str | None) -> bool:
    return any(voice.person.is_reviewer(reviewer) for voice in approval.voices)


def _roles_of(approval: Approval, decision: Decision) -> tuple[str, ...]:
    """The roles of the reviewer, with those that were lent to them."""
    lent = (one.roles for one in approval.delegations if same_person(one.to, decision.reviewer))
    return tuple(sorted({*decision.roles, *(role for roles in lent for role in roles)}))


def _waits_for(approval: Approval) -> str:
    missing = (f"{one.quorum} of {' or '.join(one.roles)}" for one in approval.open_requirements())
    return f"waits for {' and '.join(missing)}"


def _accept(approval: Approval, decision: Decision) -> Approval:
    person = Person(id=decision.reviewer, team=decision.team)
    voice = Acceptance(person=person, roles=_roles_of(approval, decision))
    voiced = approval.model_copy(update={"voices": (*approval.voices, voice), "claim": None})
    return voiced if voiced.open_requirements() else _settle(voiced, "accepted", decision)


def _edit(approval: Approval, decision: Decision, edit: EditTerms) -> Approval:
    if edit.digest == approval.args_digest:
        raise InvalidEdit("the edit changes nothing; accept it instead")
    editor = Person(id=decision.reviewer, team=decision.team)
    edited = _with_needs(approval, edit).model_copy(
        update={
            "args_digest": edit.digest,
            "covers": edit.covers,
            "superseded": (*approval.superseded, approval.args_digest),
            "requesters": tuple(dict.fromkeys((*approval.requesters, editor))),
            "voices": (),
        }
    )
    return _accept(edited, decision)


def _with_needs(approval: Approval, edit: EditTerms) -> Approval:
    """The approval with what edited arguments need besides. Nothing is taken away, the earlier deadline
    counts, and the stricter end; silence until then is no consent where policy gives longer to object."""
    terms = edit.terms
    if terms is None:
        more = (one for one in edit.requirements if one not in approval.requirements)
        return approval.model_copy(update={"requirements": (*approval.requirements, *more)})
    requirements, places = _joined(approval, edit.requirements, terms)
    expires_at = min(approval.expires_at, terms.expires_at)
    gone, coming = approval.schedule[: approval.alarms], set(approval.schedule[approval.alarms :])
    for alarm in terms.schedule:
        if alarm.kind == "escalate" and alarm.requirement in places:
            place = places[alarm.requirement]
            coming.add(alarm.model_copy(update={"requirement": place}))
        elif alarm.kind == "remind" and places:
            coming.add(alarm)
    ends = (approval.on_expiry, terms.on_expiry)
    too_soon = terms.expires_at > approval.expires_at
    return approval.model_copy(
        update={
            "requirements": requirements,
            "rules": tuple(dict.fromkeys((*approval.rules, *terms.rules))),
            "expires_at": expires_at,
            "schedule": (*gone, *in_order(coming, until=expires_at)),
            "on_expiry": strictest((*ends, "person") if too_soon else ends),
            "claim_seconds": min(approval.claim_seconds, terms.claim_seconds),
        }
    )


def _joined(
    approval: Approval, further: tuple[Requirement, ...], terms: Terms
) -> tuple[tuple[Requirement, ...], dict[int, int]]:
    """The requirements with those of further rules, and the places of these. One that is there already
    is not added, unless an escalation adds roles to either of the two."""
    requirements, places = list(approval.requirements), dict[int, int]()
    widened = {alarm.requirement for alarm in approval.schedule if alarm.kind == "escalate"}
    widening = {alarm.requirement for alarm in terms.schedule if alarm.kind == "escalate"}
    plain = [one for index, one in enumerate(requirements) if index not in widened]
    for index, (rule, one) in enumerate(zip(terms.rules, further, strict=True)):
        if rule in approval.rules or (one in plain and index not in widening):
            continue
        places[index] = len(requirements)
        requirements.append(one)
    return tuple(requirements), places


def _delegate(approval: Approval, decision: Decision) -> Approval:
    assert decision.to is not None
    kept = [one for one in approval.delegations if not same_person(one.reviewer, decision.to)]
    delegation = Delegation(
        reviewer=decision.reviewer, to=decision.to, roles=_roles_of(approval, decision)
    )
    voices = [one for one in approval.voices if not one.person.is_reviewer(decision.reviewer)]
    return approval.model_copy(
        update={"delegations": (*kept, delegation), "voices": tuple(voices), "claim": None}
    )


def _settle(approval: Approval, state: ApprovalState, decision: Decision) -> Approval:
    return approval.model_copy(update={"state": state, "decision_id": decision.id, "claim": None})
