"""The demonstration's own policy: the shop's, in a hurry."""

from datetime import timedelta
from pathlib import Path

from holdfast.domain.policy import Policy, load_policy
from holdfast_shop import package
from holdfast_shop.demo.policy import write_policy


def test_only_the_name_and_the_times_of_reminders_and_escalations_differ(tmp_path: Path) -> None:
    assert package.policy is not None
    write_policy(tmp_path, "acme", package)
    ours = load_policy((tmp_path / "acme.yaml").read_text(), source="acme.yaml")
    shops = load_policy(package.policy.read_text(), source="policy.yaml")

    assert (ours.name, ours.version) == ("shop-demo", shops.version)
    assert _without_times(ours) == _without_times(shops)
    approve = ours.actions["cancel_pending_order"][1].approve
    assert approve is not None
    assert approve.remind_after == timedelta(seconds=2)
    assert [step.after for step in approve.escalate] == [timedelta(seconds=4)]
    assert approve.expire_after == timedelta(hours=48)


def _without_times(policy: Policy) -> object:
    told = policy.model_dump(exclude={"name", "digest"})
    for rules in told["actions"].values():
        for rule in rules:
            if rule["approve"] is not None:
                rule["approve"]["remind_after"] = rule["approve"]["remind_after"] is not None
                for step in rule["approve"]["escalate"]:
                    del step["after"]
    return told
