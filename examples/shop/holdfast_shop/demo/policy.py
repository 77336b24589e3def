"""The demonstration's own policy: the shop's, with deadlines that one can sit through."""

from pathlib import Path
from typing import Any

import yaml

from holdfast import Package

REMIND_AFTER = "2s"
ESCALATE_AFTER = "4s"


def write_policy(folder: Path, tenant: str, package: Package) -> None:
    """Write the policy of `tenant` into `folder`: every rule of the package's, under another name.

    Where the package's reminds people of an approval or escalates it, this one does so within
    seconds; who has to approve what, and when approvals expire, stays as it is.
    """
    assert package.policy is not None
    policy = yaml.safe_load(package.policy.read_text(encoding="utf-8"))
    policy["name"] = f"{policy['name']}-demo"
    for rules in policy["actions"].values():
        for rule in rules if isinstance(rules, list) else [rules]:
            if isinstance(rule, dict) and "approve" in rule:
                _hurry(rule["approve"])
    text = yaml.safe_dump(policy, sort_keys=False)
    (folder / f"{tenant}.yaml").write_text(text, encoding="utf-8")


def _hurry(rule: dict[str, Any]) -> None:
    if "remind_after" in rule:
        rule["remind_after"] = REMIND_AFTER
    if "escalate" in rule:
        first, *later = rule["escalate"]
        rule["escalate"] = [{**first, "after": ESCALATE_AFTER}, *later]
