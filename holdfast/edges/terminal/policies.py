"""Commands of those who write policies: check a file, explain a verdict, test cases."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from holdfast.domain.documents import line_of
from holdfast.domain.errors import InvalidRequest, PolicyCasesFailed, PolicyError
from holdfast.domain.failures import in_words
from holdfast.domain.outcomes import VerdictKind
from holdfast.domain.policy import ApprovalRule, Policy, RuleTrial, load_policy
from holdfast.domain.policy.cases import CaseResult, ConversationFacts, load_cases, policy_input
from holdfast.domain.policy.name_check import KnownAction, check_names
from holdfast.edges.terminal.options import AsJson, Tenant, json_object
from holdfast.edges.terminal.runner import print_document
from holdfast.extras import extra
from holdfast.runtime.tenant_files import read_text

app = typer.Typer(help="Policies: what runs at once, what people approve, what never runs.")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A policy, as YAML.")],
    as_json: AsJson = False,
) -> None:
    """Say what a policy file says, or every mistake in it with its line.

    Names are compared with what the actions of the packages of HOLDFAST_PACKAGES have, those of actions
    that none of them brings aside.
    """
    policy = _load(file)
    unknown = _check_names(policy, file)
    if as_json:
        print_document(policy, as_json)
        return
    said = {"policy": f"{policy.name} {policy.version}"}
    for action, rules in policy.actions.items():
        for index, rule in enumerate(rules):
            when = f"when {rule.when}: " if rule.when else ""
            said[f"{action}[{index}]"] = when + _in_words(rule.kind, rule.approve)
    said["default"] = _in_words(policy.default.kind, policy.default.approve)
    if unknown:
        said["not compared"] = f"no package brings {', '.join(unknown)}; a worker would refuse this"
    print_document(said, as_json)


@app.command()
def explain(
    action: Annotated[str, typer.Argument(help="The action's name.")],
    arguments: Annotated[str, typer.Option(metavar="JSON", help="Its arguments.")] = "{}",
    facts: Annotated[str, typer.Option(metavar="JSON", help="What its facts would be.")] = "{}",
    customer: Annotated[
        str, typer.Option(metavar="JSON", help="What conditions see of the customer.")
    ] = "{}",
    conversation: Annotated[
        str, typer.Option(metavar="JSON", help="priority, language, age (30m), turns.")
    ] = "{}",
    windows: Annotated[
        str, typer.Option(metavar="JSON", help="Sums by name; 0 if left out.")
    ] = "{}",
    policy: Annotated[
        Path | None, typer.Option(help="A policy file, instead of the tenant's policy.")
    ] = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Say which rule decides about an action, and why."""
    chosen = _load(policy) if policy is not None else _of_tenant(tenant, action, arguments)
    try:
        seen = policy_input(
            arguments=json_object(arguments),
            facts=json_object(facts),
            customer=json_object(customer),
            conversation=_conversation(conversation),
            windows={**dict.fromkeys(chosen.windows, Decimal(0)), **json_object(windows)},
            tenant=tenant,
        )
    except ValidationError as error:
        raise typer.BadParameter(in_words(error)) from None
    tried, verdict = chosen.explain(action, seen)
    if as_json:
        print_document(
            {"policy": chosen.name, "version": chosen.version, "tried": tried, "verdict": verdict},
            as_json,
        )
        return
    shown = {"policy": f"{chosen.name} {chosen.version}"}
    shown |= {one.rule: f"{one.when or 'always'}: {_outcome(one)}" for one in tried}
    shown["verdict"] = f"{_in_words(verdict.kind, verdict.approve)} (by {verdict.rule})"
    if verdict.reason:
        shown["reason"] = verdict.reason
    if verdict.approve is not None:
        shown |= _times(chosen, verdict.approve)
    print_document(shown, as_json)


@app.command("test")
def run_cases(
    file: Annotated[Path, typer.Argument(help="Cases, as YAML, which name their policy.")],
    as_json: AsJson = False,
) -> None:
    """Check that a policy says what the cases in a file expect."""
    cases = load_cases(read_text(file), source=str(file))
    policy = _load(file.parent / cases.policy)
    results = [CaseResult(name=one.name, problems=one.problems(policy)) for one in cases.cases]
    if as_json:
        print_document({"policy": policy.name, "version": policy.version, "cases": results}, True)
    else:
        print_document(
            {one.name: "; ".join(one.problems) or "as expected" for one in results}, False
        )
    if failed := [one.name for one in results if one.problems]:
        raise PolicyCasesFailed(f"{len(failed)} of {len(results)} cases fail: {', '.join(failed)}")


def _load(file: Path) -> Policy:
    return load_policy(read_text(file), source=str(file))


def _check_names(policy: Policy, file: Path) -> list[str]:
    """The actions of a policy that no package brings.

    Raises:
        PolicyError: it looks at what the actions of the packages don't have.
    """
    from holdfast.runtime.settings import read_settings

    with extra("worker", "Comparing a policy with packages"):
        from holdfast.packages.registry import load_packages

    packages = load_packages(read_settings().packages)
    actions = {
        action.name: KnownAction(
            arguments=action.arguments,
            facts=action.fact_names if action.facts is not None else (),
        )
        for package in packages
        for action in package.actions
    }
    declared = [package.customer_names for package in packages if package.customer is not None]
    names = {name for some in declared for name in some or ()}
    problems = list(check_names(policy, actions, None if None in declared else names))
    if problems:
        text = read_text(file)
        raise PolicyError(
            "\n".join(f"{file}:{line_of(text, one.at)}: {one.text}" for one in problems)
        )
    return sorted(policy.named_actions().keys() - actions.keys())


def _conversation(text: str) -> ConversationFacts:
    try:
        return ConversationFacts.model_validate(json_object(text))
    except ValidationError as error:
        raise typer.BadParameter(f"--conversation: {in_words(error)}") from None


def _of_tenant(tenant: str, action: str, arguments: str) -> Policy:
    """The tenant's policy as a worker with these settings has it."""
    from holdfast.runtime.settings import read_settings

    with extra("worker", "A tenant's policy, which a package brings,"):
        from holdfast.packages.registry import Registry, load_packages

    settings = read_settings()
    registry = Registry(
        builtin=(), packages=load_packages(settings.packages), policy_dir=settings.policy_dir
    )
    found = registry.action(action)
    if found is None:
        raise InvalidRequest(f"no package brings an action {action!r}")
    try:
        found.arguments.model_validate(json_object(arguments))
    except ValidationError as error:
        raise typer.BadParameter(f"--arguments do not fit {action}: {in_words(error)}") from None
    return registry.policy(tenant, action)


def _in_words(kind: VerdictKind, approve: ApprovalRule | None) -> str:
    if approve is None:
        return kind
    rules = [
        *(["four eyes"] if approve.four_eyes else []),
        *(["different teams"] if approve.other_team else []),
    ]
    under = f" ({', '.join(rules)})" if rules else ""
    return f"approve by {approve.quorum} of {' or '.join(approve.roles)}{under}"


def _outcome(tried: RuleTrial) -> str:
    if tried.error is not None:
        return f"could not be told ({tried.error}), so the strictest that could match counts"
    return "true" if tried.matched else "false"


def _times(policy: Policy, rule: ApprovalRule) -> dict[str, str]:
    """When what would happen to an approval that is asked for now."""
    alarms, expires_at = policy.schedule(rule, asked_at=datetime.now(UTC), requirement=0)
    times: dict[str, str] = {}
    for alarm in alarms:
        to = f" to {' or '.join(alarm.roles)}" if alarm.roles else ""
        times[f"{alarm.kind}{to}"] = f"{alarm.at:%Y-%m-%d %H:%M} UTC"
    return {**times, f"expires, then {rule.on_expiry}": f"{expires_at:%Y-%m-%d %H:%M} UTC"}
