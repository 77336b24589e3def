"""Deliveries on the command line."""

from collections.abc import Mapping

from tests.edges.terminal.command import Ended, starter
from tests.notifications.notices import email, notice, notifications, webhook
from tests.notifications.office import Office
from tests.notifications.receiving import Answered, endpoint


def environment(office: Office) -> Mapping[str, str]:
    assert office.settings.database_url is not None
    assert office.settings.temporal_address is not None
    return {
        "HOLDFAST_TEMPORAL_ADDRESS": office.settings.temporal_address,
        "HOLDFAST_DATABASE_URL": office.settings.database_url.get_secret_value(),
        "HOLDFAST_TASK_QUEUE": office.settings.task_queue,
    }


async def run(office: Office, *arguments: str) -> Ended:
    return await starter(environment(office), *arguments, "--tenant", office.tenant)


async def test_an_operator_finds_dead_deliveries_and_redrives_them(office: Office) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda number: Answered(410 if number == 0 else 200)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            await (await office.start((delivery,))).result()
            listed = (await run(office, "deliveries", "--state", "dead", "--json")).document
            assert [one["id"] for one in listed["deliveries"]] == [delivery]
            assert listed["deliveries"][0]["last_error"].startswith("HTTP 410")
            for_people = await run(office, "deliveries")
            assert (
                f"{delivery}: dead, approval.requested of ap_1 to webhook slack" in for_people.out
            )

            redriven = await run(office, "redrive", delivery, "--json")
            assert redriven.document == {"redriven": [delivery]}
            await office.becomes(delivery, "delivered")
    assert (await run(office, "redrive", "--all-dead", "--json")).document == {"redriven": []}
    refused = await run(office, "redrive", delivery)
    assert (refused.code, refused.error["error"]) == (3, "DeliveryNotDead")
    unknown = await run(office, "redrive", "dl_unknown")
    assert (unknown.code, unknown.error["error"]) == (3, "DeliveryNotFound")


async def test_deliveries_are_listed_for_people(office: Office) -> None:
    assert (await run(office, "deliveries")).out == "no deliveries\n"
    told = notifications(office.tenant, email("lena@example.com"), smtp_port=25)
    (delivery,) = await office.enqueue(told, notice(office.tenant))
    shown = (await run(office, "deliveries")).out
    assert f"{delivery}: pending" in shown
    assert "email team (lena@example.com), 0 attempts" in shown


async def test_redrive_takes_either_names_or_all() -> None:
    for arguments in ((), ("dl_1", "--all-dead")):
        ended = await starter({}, "redrive", *arguments)
        assert (ended.code, ended.out) == (2, "")
