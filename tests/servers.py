"""Keeps the embedded stack of a test run up until its standard input ends: `python -m tests.servers DIR`."""

import asyncio
import json
import sys
from pathlib import Path

from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.packages.registry import load_packages
from holdfast.runtime.process import exit_process
from holdfast.runtime.settings import Settings
from holdfast.security.development_keys import write_development_keys
from holdfast.worker.preparation import prepare
from holdfast_devstack.stack import local_stack


async def _keep(folder: Path) -> None:
    async with local_stack(
        folder / "stack",
        search_attributes=SEARCH_ATTRIBUTES,
        temporal_ui=False,
        postgres_options={"fsync": "off", "max_connections": "400"},
        progress=print,
    ) as stack:
        keys = write_development_keys(folder)
        settings = Settings.model_validate(
            {
                "reviewer_keys": str(keys.public),
                "signing_key": keys.signing,
                "temporal_address": stack.temporal_address,
                "database_url": stack.database_url,
                "migration_url": stack.migration_url,
                "health_port": 0,
            }
        )
        await prepare(
            settings, load_packages(["holdfast_shop:package", "tests.counter:package"]), None
        )
        plain = settings.model_dump(mode="json") | {
            "database_url": stack.database_url,
            "migration_url": stack.migration_url,
        }
        written = folder / "ready.tmp"
        written.write_text(json.dumps(plain))
        written.rename(folder / "ready.json")
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(_keep(Path(sys.argv[1])))
exit_process(0)
