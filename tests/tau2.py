"""The retail tasks of tau2-bench: where they lie, what they do, and how a database should end up.

The data is not part of the project. It is looked for in the folder that HOLDFAST_TAU2_DIR names,
else in `../shared/tau2` beside the checkout.

One deliberate difference from the data set. Where `modify_pending_order_items` replaces several
items, upstream gives every one of them the price and options of the last new item; here each gets
its own. `Task.expected` corrects the recorded end state by that; it concerns the tasks 21, 36, 37
and 100, and for all others it is the recorded state.
"""

import hashlib
import json
import os
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

Database = dict[str, dict[str, Any]]

DATABASE_SHA256 = "46feda6949425326f39edd1c991534519d46ad190435665c22735c7192f6ece1"
"""The digest of the data set as it is given."""
DIFFERENT_TASKS = frozenset({"21", "36", "37", "100"})

_CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One reference call; `error` is the message it must raise, if it must."""

    name: str
    arguments: dict[str, JsonValue]
    kind: Literal["read", "write", "generic"]
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Task:
    id: str
    split: Literal["train", "test"]
    instructions: dict[str, str | None]
    calls: tuple[Call, ...]
    changed: Database
    """The records that differ in the end, as upstream leaves them."""
    upstream_sha256: str

    def customer(self, database: Database) -> str:
        """The user whom the task is about; None of the tasks is about two."""
        for call in self.calls:
            if "user_id" in call.arguments:
                return str(call.arguments["user_id"])
            order = database["orders"].get(str(call.arguments.get("order_id")))
            if order:
                return str(order["user_id"])
        known = str(self.instructions["known_info"])
        return next(
            user_id
            for user_id, user in database["users"].items()
            if user_id in known
            or (
                f"{user['name']['first_name']} {user['name']['last_name']}" in known
                and user["address"]["zip"] in known
            )
        )

    def upstream(self, database: Database) -> Database:
        """The database after the task, as upstream leaves it."""
        return {table: rows | self.changed.get(table, {}) for table, rows in database.items()}

    def expected(self, database: Database) -> Database:
        """The database after the task, each replaced item with its own price and options."""
        state = self.upstream(database)
        variants = {
            item_id: variant
            for product in database["products"].values()
            for item_id, variant in product["variants"].items()
        }
        for call in self.calls:
            if call.name == "modify_pending_order_items" and call.error is None:
                order_id = str(call.arguments["order_id"])
                order = deepcopy(state["orders"][order_id])
                for item in order["items"]:
                    if item["item_id"] in call.arguments["new_item_ids"]:  # type: ignore[operator]
                        variant = variants[item["item_id"]]
                        item |= {"price": variant["price"], "options": variant["options"]}
                state["orders"] = state["orders"] | {order_id: order}
        return state


def retail_folder() -> Path | None:
    """Where the retail data lies; None where it is missing."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "tau2"
    folder = Path(os.environ.get("HOLDFAST_TAU2_DIR") or beside) / "retail"
    return folder if (folder / "tasks.json").exists() else None


MISSING = "tau2 retail data not found: set HOLDFAST_TAU2_DIR, or put it in ../shared/tau2"


@cache
def database() -> Database:
    """The data set that every task starts from; not to be changed.

    Raises:
        FileNotFoundError: the data is missing.
    """
    data: Database = json.loads(_read("db.json"))
    return data


@cache
def tasks() -> tuple[Task, ...]:
    """The 76 tasks; none where the data is missing."""
    if retail_folder() is None:
        return ()
    return tuple(
        Task(
            id=task["id"],
            split=task["split"],
            instructions=task["instructions"],
            calls=tuple(
                Call(**{key: value for key, value in call.items() if key != "requestor"})
                for call in task["actions"]
            ),
            changed=task["expected"]["changed"],
            upstream_sha256=task["expected"]["state_sha256"],
        )
        for task in json.loads(_read("tasks.json"))
    )


def state_digest(state: Database) -> str:
    """SHA-256 over products, users and orders: nulls dropped, numbers with exactly two decimals."""
    text = json.dumps(
        _normal({table: state[table] for table in ("products", "users", "orders")}),
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _normal(value: Any) -> JsonValue:
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        cents = Decimal(str(value)).quantize(_CENT)
        return str(cents if cents else abs(cents))
    return value  # type: ignore[no-any-return]


def _read(name: str) -> str:
    folder = retail_folder()
    if folder is None:
        raise FileNotFoundError(MISSING)
    return (folder / name).read_text(encoding="utf-8")
