"""What a brought package may tell the offline model, whose rules know no business."""

from pydantic import Field

from holdfast.domain.model import Strict


class ToolHint(Strict):
    """When the offline model should call a tool, and how it finds the arguments.

    `phrases` are regular expressions, searched without regard to case in the customer's words: the
    tool of the most matches is called. `after` names a tool that must have answered first.
    `patterns` are regular expressions for arguments, by name: the first group is the value.
    `values` map an argument's name to {expression: value}, for enumerations in the customer's words.
    `defaults` are values for arguments that nothing else filled.
    """

    phrases: tuple[str, ...] = ()
    after: str | None = None
    patterns: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    defaults: dict[str, str] = Field(default_factory=dict)


class Hints(Strict):
    """Hints by name: for choosing among agents (`intents`) and for calling tools (`tools`)."""

    intents: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Agent name to regular expressions that speak for it."""
    tools: dict[str, ToolHint] = Field(default_factory=dict)
