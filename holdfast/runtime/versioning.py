"""Which version of the code a worker runs, for Temporal's worker deployment versioning."""

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

from holdfast.domain.errors import ConfigurationError

_OURS = "holdfast"
_DIGITS = 12


def build_id(packages: Iterable[str]) -> str:
    """The first 12 hex digits of the SHA-256 of the sources: of Holdfast, and of these modules.

    A module that is a folder counts with every `.py` file below it, by path and content; what a
    brought module imports from elsewhere does not count. The same code has the same build id on
    every machine.

    Raises:
        ConfigurationError: the source of a module cannot be found.
    """
    digest = hashlib.sha256()
    for module in (_OURS, *sorted(set(packages))):
        for name, path in _sources(module):
            content = path.read_bytes()
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:_DIGITS]


def deployment_config(
    version: WorkerDeploymentVersion | None, behavior: VersioningBehavior
) -> WorkerDeploymentConfig | None:
    """A worker of this version, whose workflows move to others in this way; None for no version.

    The behaviour is not with the workflow itself, since Temporal refuses that of workers that are not
    versioned.
    """
    if version is None:
        return None
    return WorkerDeploymentConfig(
        version=version, use_worker_versioning=True, default_versioning_behavior=behavior
    )


def _sources(module: str) -> Iterator[tuple[str, Path]]:
    try:
        found = importlib.util.find_spec(module)
    except Exception:  # it imports the module's parents, and these may raise anything
        found = None
    folders = list(found.submodule_search_locations or ()) if found else []
    if folders:
        for folder in map(Path, folders):
            for path in sorted(_python_files(folder)):
                yield f"{module}/{path.relative_to(folder).as_posix()}", path
    elif found is not None and found.origin is not None and found.origin.endswith(".py"):
        yield module, Path(found.origin)
    else:
        raise ConfigurationError(
            f"the source of {module!r} cannot be found, so its build has no name; set HOLDFAST_BUILD_ID"
        )


def _python_files(folder: Path) -> Iterator[Path]:
    """All of them below a folder, also behind links: in a checkout, `workflows` and `activities` are."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(parent)) in seen:  # a link to where it is itself
            folders.clear()
            continue
        seen.add(place)
        yield from (Path(parent, name) for name in names if name.endswith(".py"))
