"""A graph that asks people by itself, in a dialect: what it proposes instead, and what it hears.

Such a graph calls LangGraph's `interrupt` with a `HumanInterrupt` (agent-inbox) or a `HITLRequest`
(LangChain). Around `propose`, `proposal_of` and `resume_value` stand in for that call.

It is never told to accept, approve or edit: at these words the graph carries out the action itself,
and here the platform has done so already, exactly once, or it will not be done. It hears what became
of each action in the words that both dialects have for an action that the graph has not to carry
out: a response, or, where an action was not executed, LangChain's rejection, whose message counts as
an error.
"""

from collections.abc import Sequence

from pydantic import JsonValue, ValidationError

from holdfast.domain.errors import InvalidRequest, NotExpressible
from holdfast.domain.failures import in_words
from holdfast.domain.ids import canonical_json
from holdfast.domain.outcomes import ActionResult, Proposal, ProposedAction
from holdfast.edges.dialects.agent_inbox import HumanInterrupt, HumanResponse
from holdfast.edges.dialects.langchain import HITLRequest, HITLResponse, Reject, Respond

Question = HumanInterrupt | HITLRequest
"""What such a graph asks."""


def read_question(value: JsonValue) -> Question:
    """What a graph would interrupt itself with; a `HumanInterrupt` alone or in a list of one.

    Raises:
        InvalidRequest: it is neither dialect's question; the message names the fields.
    """
    if isinstance(value, list):
        if len(value) != 1:
            raise InvalidRequest(
                f"a list of {len(value)} questions; ask one by one, or in one HITLRequest"
            )
        (value,) = value
    dialect: type[Question] = HumanInterrupt
    if isinstance(value, dict) and "action_requests" in value:
        dialect = HITLRequest
    try:
        return dialect.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(f"this is no {dialect.__name__}: {in_words(error)}") from None


def proposal_of(
    question: Question, *, evidence: Sequence[str] = (), holding_message: str | None = None
) -> Proposal:
    """What to propose in the place of `question`: the same actions, its description as the reason.

    Whether anybody has to decide, and who, is up to policy, and a reviewer may then do whatever
    Holdfast offers, edits included: what the question would allow a reviewer has no say in it. But it
    has to let the graph hear the results.

    Raises:
        NotExpressible: the graph does not take a response (for LangChain: a respond and a reject), or
            the question is not for 1 to 10 actions.
    """
    match question:
        case HumanInterrupt():
            described = [question.description]
            if not question.config.allow_respond:
                raise NotExpressible(
                    f"the graph asks about {question.action_request.action} and takes no response, "
                    "by which it hears what became of it; set allow_respond"
                )
        case HITLRequest():
            described = [one.description for one in question.action_requests]
            _require_decisions(question)
    actions = _actions_of(question)
    names = ", ".join(action.name for action in actions)
    reason = "\n\n".join(dict.fromkeys(text for text in described if text))
    try:
        return Proposal(
            actions=actions,
            reason=reason or f"The agent asks for {names}.",
            evidence=tuple(evidence),
            **({} if holding_message is None else {"holding_message": holding_message}),
        )
    except ValidationError:
        raise NotExpressible(
            f"a proposal has 1 to 10 actions, and the question {len(actions)}; ask in several steps"
        ) from None


def resume_value(question: Question, results: Sequence[ActionResult]) -> JsonValue:
    """What `interrupt(question)` returns to the graph, as JSON: a list of one `HumanResponse`, or a
    `HITLResponse`.

    Raises:
        InvalidRequest: these are not the results of this question's actions.
    """
    actions = _actions_of(question)
    if [one.name for one in results] != [one.name for one in actions]:
        raise InvalidRequest(
            f"the question is about {', '.join(one.name for one in actions)}, the results are of "
            f"{', '.join(one.name for one in results) or 'nothing'}; give what `propose` returned for it"
        )
    said = [_in_words(*both) for both in zip(actions, results, strict=True)]
    if isinstance(question, HumanInterrupt):
        return [HumanResponse(type="response", args=said[0]).model_dump(mode="json")]
    answer = HITLResponse(
        decisions=tuple(
            Respond(message=words) if result.ok else Reject(message=words)
            for result, words in zip(results, said, strict=True)
        )
    )
    resumed: JsonValue = answer.model_dump(mode="json")
    return resumed


def _require_decisions(request: HITLRequest) -> None:
    for action in request.action_requests:
        configs = [one for one in request.review_configs if one.action_name == action.name]
        if not configs:
            raise NotExpressible(f"review_configs has nothing for {action.name}; add it")
        for config in configs:
            if missing := {"reject", "respond"} - set(config.allowed_decisions):
                raise NotExpressible(
                    f"the graph asks about {action.name} and does not allow "
                    f"{' and '.join(sorted(missing))}, by which it hears what became of it; allow that"
                )


def _actions_of(question: Question) -> tuple[ProposedAction, ...]:
    match question:
        case HumanInterrupt(action_request=asked):
            return (ProposedAction(name=asked.action, arguments=asked.args),)
        case HITLRequest(action_requests=several):
            return tuple(ProposedAction(name=one.name, arguments=one.args) for one in several)


def _in_words(asked: ProposedAction, result: ActionResult) -> str:
    name, why = result.name, result.error or "no reason was given"
    match result.state:
        case "executed":
            words = [f"{name} was executed."]
            if canonical_json(result.arguments) != canonical_json(asked.arguments):
                words.append(f"A reviewer had changed it to {canonical_json(result.arguments)}.")
            if result.result is not None:
                words.append(f"Result: {canonical_json(result.result)}")
            if result.error is not None:
                words.append(result.error)
            return " ".join(words)
        case "compensated":
            return f"{name} was executed, and then undone: {why}"
        case "responded":
            return f"{name} was not executed. A reviewer answers: {why}"
        case state:
            return f"{name} was not executed ({state.replace('_', ' ')}): {why}"
