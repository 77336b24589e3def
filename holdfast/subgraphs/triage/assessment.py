"""What the model says about a message, and the prompt that asks for it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, create_model

from holdfast.domain.model import Strict
from holdfast.domain.outcomes import PriorityName
from holdfast.subgraphs.contract import AgentCard
from holdfast.subgraphs.dialogue import agent_list

PERSON = "person"
"""The choice that stands for a person of the staff rather than an agent."""

_PROMPT = """\
You sort the messages of customers. Say which agent should answer the customer's last message:

{agents}
- {person}: A person of the staff. Only when the customer asks to talk to a person.

The last message may only make sense together with the ones before it: a short answer to an agent's
question, "yes", a bare number or "and that one too?" belongs to the agent whose matter it continues.
A greeting, thanks or small talk belongs to the agent for that, where there is one.

`intent` names what the customer wants in two to six words. `confidence` between 0 and 1 says how sure
you are about the agent: below 0.7 the customer is asked what they mean, so go below when two agents
fit equally well or the message says too little. `priority` is urgent for danger, fraud or legal
threats, high for anger or a deadline today, low for what needs no answer soon, and else normal.
`language` is the two-letter code of the language of the last message."""


class Assessment(Strict):
    """What the model says about a message; `agent` is one of the listed names."""

    intent: Annotated[str, Field(min_length=1, max_length=100)]
    agent: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    priority: PriorityName
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")]


def prompt(agents: Sequence[AgentCard]) -> str:
    """The system prompt for choosing among `agents`."""
    return _PROMPT.format(agents=agent_list(agents), person=PERSON)


@lru_cache(maxsize=32)
def assessment_among(names: tuple[str, ...]) -> type[Assessment]:
    """`Assessment` with `agent` limited to these names and a person, in the JSON schema as well."""
    allowed = (*names, PERSON)

    def check(name: str) -> str:
        if name not in allowed:
            raise ValueError(f"{name!r} is none of {', '.join(allowed)}")
        return name

    chosen = Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": list(allowed)})]
    return create_model("Assessment", __base__=Assessment, agent=(chosen, ...))
