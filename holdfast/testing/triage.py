"""Scripts in which triage is one of those who ask the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.domain.outcomes import PriorityName
from holdfast.testing.scripted_model import Answer, ModelReply, in_order, structured


def is_triage(request: Mapping[str, Any]) -> bool:
    """Whether a request to the model comes from triage."""
    return "response_format" in request


def route(
    agent: str, *, confidence: float = 0.95, priority: PriorityName = "normal", language: str = "en"
) -> ModelReply:
    """Triage's answer."""
    return structured(
        {
            "intent": "test",
            "confidence": confidence,
            "agent": agent,
            "priority": priority,
            "language": language,
        }
    )


def routed_to(agent: str, answer: Answer | Sequence[ModelReply]) -> Answer:
    """A script that routes every message to `agent`; the rest gets what `answer` says, or the replies in
    their order."""
    answered = answer if callable(answer) else in_order(answer)
    return lambda request: route(agent) if is_triage(request) else answered(request)
