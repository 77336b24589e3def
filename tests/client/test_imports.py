"""What `import holdfast.client` leaves out: a service that sends messages starts in a moment."""

import subprocess
import sys

_IMPORTED = """
import sys
import holdfast.client
from pydantic import BaseModel

def below(kind):
    for one in kind.__subclasses__():
        yield one
        yield from below(one)

print(*sys.modules)
ours = [one for one in below(BaseModel) if one.__module__.startswith("holdfast.")]
print(*[one.__name__ for one in ours if one.__pydantic_complete__])
"""

_OF_OTHERS = {
    "alembic",
    "cel",
    "cryptography",
    "jwt",
    "langgraph",
    "openai",
    "pydantic_settings",
    "rich",
    "temporalio.worker",
    "typer",
    "yaml",
}
"""What signs, reads settings and policies, prints, or runs agents."""


def test_a_client_imports_nothing_that_it_may_not_need_and_builds_no_model() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True
    )
    modules, built = done.stdout.split("\n")[:2]
    assert _OF_OTHERS & set(modules.split()) == set()
    assert built == ""
