"""What the model says about a message, and the prompt that asks for it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from holdfast.contract.dialogue import agent_list
from holdfast.contract.subgraph import AgentCard
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import PriorityName

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


_INTENT_CHARACTERS = 100
_PRIORITIES: dict[str, PriorityName] = {
    "urgent": "urgent", "critical": "urgent", "emergency": "urgent", "highest": "urgent",
    "high": "high", "low": "low", "lowest": "low",
}  # fmt: skip
_LANGUAGES = {
    "english": "en", "eng": "en", "german": "de", "deutsch": "de", "deu": "de", "ger": "de",
    "french": "fr", "français": "fr", "fra": "fr", "spanish": "es", "español": "es", "spa": "es",
    "italian": "it", "italiano": "it", "ita": "it", "dutch": "nl", "nederlands": "nl",
    "portuguese": "pt", "português": "pt", "polish": "pl", "polski": "pl", "turkish": "tr",
}  # fmt: skip


def _named(value: object) -> object:
    return value.strip().casefold() if isinstance(value, str) else value


def _intent(value: object) -> object:
    return " ".join(value.split())[:_INTENT_CHARACTERS] or "-" if isinstance(value, str) else "-"


def _confidence(value: object) -> object:
    """A share of 1, also where the model gives percent: `95`, `"95 %"`, `"0.95"`."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        number, percent, _ = value.strip().partition("%")
        try:
            value = float(number) / 100 if percent else float(number)
        except ValueError:
            return None
    return value / 100 if isinstance(value, int | float) and 1 < value <= 100 else value


def _priority(value: object) -> object:
    return _PRIORITIES.get(str(_named(value)), "normal")


def _language(value: object) -> object:
    """The two letters of a tag or name; nothing where there are none."""
    name = str(_named(value))
    code = _LANGUAGES.get(name, name.replace("_", "-").partition("-")[0])
    return code if len(code) == 2 and code.isascii() and code.isalpha() else ""


class Assessment(Frozen):
    """What the model says about a message; `agent` is one of the listed names.

    It is read leniently: nothing but the agent and the confidence decides anything. What can't be read of
    the others is left to their usual values.
    """

    intent: Annotated[
        str, Field(min_length=1, max_length=_INTENT_CHARACTERS), BeforeValidator(_intent)
    ] = "-"
    agent: str
    confidence: Annotated[float, Field(ge=0, le=1), BeforeValidator(_confidence)]
    priority: Annotated[PriorityName, BeforeValidator(_priority)] = "normal"
    language: Annotated[
        str, Field(json_schema_extra={"pattern": "^[a-z]{2}$"}), BeforeValidator(_language)
    ] = ""
    """Empty where it is not known."""


def prompt(agents: Sequence[AgentCard]) -> str:
    """The system prompt for choosing among `agents`."""
    return _PROMPT.format(agents=agent_list(agents), person=PERSON)


@lru_cache(maxsize=32)
def assessment_among(names: tuple[str, ...]) -> type[Assessment]:
    """`Assessment` with `agent` limited to these names and a person, in the JSON schema as well."""
    allowed = (*names, PERSON)
    by_folded = {name.casefold(): name for name in allowed}

    def check(name: str) -> str:
        found = name if name in allowed else by_folded.get(name.strip().casefold())
        if found is None:
            raise ValueError(f"it is none of {', '.join(allowed)}")
        return found

    chosen = Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": list(allowed)})]
    return create_model("Assessment", __base__=Assessment, agent=(chosen, ...))
