"""Options and arguments that several commands share."""

import json
from typing import Annotated, Any

import typer

Tenant = Annotated[str, typer.Option(help="Whose conversations.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Conversation = Annotated[str, typer.Argument(help="The conversation's id.")]
Customer = Annotated[str, typer.Option(help="The customer's id.")]
Approval = Annotated[str, typer.Argument(help="The approval's id.")]
ReviewerId = Annotated[str, typer.Option("--as", metavar="NAME", help="Who you are.")]
Reader = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who you are; the audit log keeps that."),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who you are; the audit log keeps that."),
]
Roles = Annotated[list[str], typer.Option("--role", help="A role that you have; repeatable.")]
Team = Annotated[str | None, typer.Option(help="Your team.")]
Statement = Annotated[
    str | None, typer.Option(metavar="JWT", help="What your identity service has signed.")
]
RequestId = Annotated[str | None, typer.Option(help="The id that the statement is signed for.")]
Digest = Annotated[str | None, typer.Option(help="The args_digest that you have seen.")]
DecisionId = Annotated[str | None, typer.Option(help="Under the same id it is taken once.")]


def json_object(text: str) -> dict[str, Any]:
    """An option's value that is a JSON object; anything else is wrong usage."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}") from None
    except RecursionError:
        raise typer.BadParameter("it is nested too deep") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("not a JSON object")
    return value
