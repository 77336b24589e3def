"""What policy looks at besides arguments and facts: who the customer is, how the conversation is, and
the sums over the past."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from pydantic import JsonValue

from holdfast.activities.resources import Resources
from holdfast.contract.action import ActionContext
from holdfast.domain.identity import StepKey
from holdfast.domain.outcomes import PriorityName, ProposedAction
from holdfast.domain.policy import Policy, PolicyInput, Window
from holdfast.store.pool import Connection, lend
from holdfast.store.windows import Place, lock_windows, sum_of_window


@dataclass(frozen=True, kw_only=True)
class ProposalOrigin:
    """Who proposes: the step, its agent, the customer it works for, and how the conversation is.

    `approval` is the one whose arguments a reviewer edits.
    """

    key: StepKey
    agent: str
    customer: str
    priority: PriorityName
    language: str
    opened_at: datetime
    approval: str | None = None

    def context(
        self, index: int, connection: Connection | None, *, read_only: bool = False
    ) -> ActionContext:
        """What an action of the proposal gets besides its arguments."""
        return ActionContext(
            tenant=self.key.tenant,
            conversation=self.key.conversation,
            turn=self.key.turn,
            customer=self.customer,
            idempotency_key=self.key.action_key(index).action_id,
            connection=connection and lend(connection),
            read_only=read_only,
        )


async def customer_of(
    resources: Resources, connection: Connection, origin: ProposalOrigin, action: str
) -> dict[str, JsonValue]:
    """What conditions on an action may know of the customer: the id, and what the action's package says."""
    customer = resources.registry.customer(action)
    attributes = (
        await customer(lend(connection), origin.key.tenant, origin.customer)
        if customer is not None
        else {}
    )
    return {**attributes, "id": origin.customer}


def policy_input(
    origin: ProposalOrigin,
    *,
    arguments: dict[str, JsonValue],
    facts: dict[str, JsonValue],
    customer: dict[str, JsonValue],
    windows: dict[str, Decimal],
) -> PolicyInput:
    """What the conditions on an action see now."""
    return PolicyInput(
        args=arguments,
        facts=facts,
        customer=customer,
        conversation={
            "id": origin.key.conversation,
            "priority": origin.priority,
            "language": origin.language,
            "age": datetime.now(UTC) - origin.opened_at,
            "turns": origin.key.turn,
        },
        windows=windows,
        tenant=origin.key.tenant,
    )


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The sums that conditions look at; until the transaction of `locked_windows` ends, nobody else adds
    to them. `before` leaves out what was proposed later than an action that is about to run."""

    connection: Connection
    origin: ProposalOrigin
    before: Place | None = None
    added: dict[str, Decimal] = field(default_factory=dict)
    """What earlier actions of the same proposal add to each."""

    async def read(self, windows: dict[str, Window]) -> dict[str, Decimal]:
        """The sum of each."""
        return {
            name: self.added.get(name, Decimal(0))
            + await sum_of_window(
                self.connection,
                self.origin.key.tenant,
                amount=window.amount.split("."),
                actions=window.actions,
                within=window.within,
                customer=self.origin.customer if window.per == "customer" else None,
                without_approval=self.origin.approval,
                before=self.before,
            )
            for name, window in windows.items()
        }

    def add(self, policy: Policy, proposed: ProposedAction, facts: dict[str, JsonValue]) -> None:
        """Count an action of this proposal, which later ones have to see."""
        for name, window in policy.windows.items():
            if proposed.name in window.actions:
                root, *path = window.amount.split(".")
                value: JsonValue = facts if root == "facts" else proposed.arguments
                for part in path:
                    value = value.get(part) if isinstance(value, dict) else None
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self.added[name] = self.added.get(name, Decimal(0)) + Decimal(str(value))


async def locked_windows(
    connection: Connection,
    origin: ProposalOrigin,
    policies: Iterable[tuple[Policy, str]],
    *,
    before: Place | None = None,
) -> Windows:
    """The sums that these policies' conditions on the action of that name look at, locked until the
    transaction ends."""
    keys = {
        f"{name}/{origin.customer}" if window.per == "customer" else name
        for policy, action in policies
        for name, window in policy.windows_of(action).items()
    }
    await lock_windows(connection, origin.key.tenant, sorted(keys))
    return Windows(connection=connection, origin=origin, before=before)
