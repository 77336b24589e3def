"""A checkpointer that keeps one snapshot of a graph's run: the latest checkpoint with its writes.

A step of a turn needs to go on where it stopped, not to travel in time, so older checkpoints are
dropped. Nested graphs are included, each under its namespace. LangGraph stores an interrupt with
`put_writes` after `put`, so the snapshot of an interrupted run is taken when the run has returned.
"""

import logging
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.types import Interrupt

from holdfast.contract import chat, subgraph
from holdfast.domain.errors import BrokenContract

Serialized = tuple[str, bytes]


def _known_as(former: str, module: ModuleType) -> None:
    """Find a module's types under its former name: snapshots that wait may be older than its move."""
    alias = ModuleType(former)
    vars(alias).update((name, it) for name, it in vars(module).items() if name[:2] != "__")
    sys.modules[former] = alias


_known_as("holdfast.subgraphs.contract", subgraph)
_known_as("holdfast.llm.chat", chat)

# A brought graph's state has types of its own. Snapshots come from our own table, written by the same
# code, so LangGraph's advice to list each type has nothing to protect here.
logging.getLogger("langgraph.checkpoint.serde.jsonplus").addFilter(
    lambda record: "unregistered type" not in record.msg
)


@dataclass
class _Kept:
    """The latest checkpoint of one namespace, and what its tasks have written so far."""

    id: str
    parent: str | None
    checkpoint: Serialized
    metadata: Serialized
    writes: dict[tuple[str, int], tuple[str, Serialized, str]] = field(default_factory=dict)


class SnapshotSaver(BaseCheckpointSaver[int]):
    """Holds the run of one graph in memory; `dump` and `load` move it to and from bytes."""

    def __init__(self, snapshot: bytes | None = None) -> None:
        super().__init__(serde=JsonPlusSerializer())
        self._kept: dict[str, _Kept] = {}
        self.progress = 0
        """Supersteps, and tasks within one, whose end was kept since the saver was made."""
        self.last_progress = time.monotonic()
        if snapshot is not None:
            self._load(snapshot)

    def dump(self) -> bytes:
        """The snapshot, about 3 KB for a small graph."""
        plain = {
            namespace: [
                kept.id,
                kept.parent,
                kept.checkpoint,
                kept.metadata,
                [[*key, *write] for key, write in kept.writes.items()],
            ]
            for namespace, kept in self._kept.items()
        }
        return self.serde.dumps_typed(plain)[1]

    def contents(self) -> Iterator[tuple[str, Checkpoint, list[tuple[str, Any]]]]:
        """Each namespace with its checkpoint, and what its tasks have written on top of that."""
        for namespace, kept in self._kept.items():
            writes = [
                (channel, self.serde.loads_typed(value))
                for channel, value, _ in kept.writes.values()
            ]
            yield namespace, self.serde.loads_typed(kept.checkpoint), writes

    def in_order(self, interrupts: Iterable[Interrupt]) -> list[Interrupt]:
        """The interrupts in the order of the tasks that wait in them, from the outermost graph in: of
        branches by their index, of nodes by their names. LangGraph gives those of a nested graph in the
        order of a hash."""
        paths: dict[str, list[str]] = {}
        for _, kept in sorted(
            self._kept.items(), key=lambda item: item[0].count("|") + (item[0] != "")
        ):
            for channel, value, path in kept.writes.values():
                if channel == INTERRUPT:
                    for stopped in self.serde.loads_typed(value):
                        paths.setdefault(stopped.id, []).append(path)
        return sorted(interrupts, key=lambda one: paths.get(one.id, []))

    def _load(self, snapshot: bytes) -> None:
        for namespace, (id_, parent, checkpoint, metadata, writes) in self.serde.loads_typed(
            ("msgpack", snapshot)
        ).items():
            self._kept[namespace] = _Kept(
                id=id_,
                parent=parent,
                checkpoint=tuple(checkpoint),
                metadata=tuple(metadata),
                writes={
                    (task, index): (channel, tuple(value), path)
                    for task, index, channel, value, path in writes
                },
            )

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The latest checkpoint of the namespace; an older one is not kept."""
        namespace = config["configurable"].get("checkpoint_ns", "")
        wanted = config["configurable"].get("checkpoint_id")
        kept = self._kept.get(namespace)
        if kept is None or (wanted and wanted != kept.id):
            return None
        return CheckpointTuple(
            config=_config(config, namespace, kept.id),
            checkpoint=self.serde.loads_typed(kept.checkpoint),
            metadata=self.serde.loads_typed(kept.metadata),
            parent_config=_config(config, namespace, kept.parent) if kept.parent else None,
            pending_writes=[
                (task, channel, self.serde.loads_typed(value))
                for (task, _), (channel, value, path) in sorted(
                    kept.writes.items(), key=lambda item: (item[1][2], item[0])
                )
            ],
        )

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The one checkpoint that is kept of the namespace, unless it is filtered out."""
        if config is None or before is not None or limit == 0:
            return
        found = await self.aget_tuple(config)
        if found and all(found.metadata.get(key) == value for key, value in (filter or {}).items()):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep the checkpoint in the place of the one before, and forget the nested runs of that."""
        namespace = config["configurable"].get("checkpoint_ns", "")
        for other in [name for name in self._kept if _is_nested_run(name, namespace)]:
            del self._kept[other]
        self._kept[namespace] = _Kept(
            id=checkpoint["id"],
            parent=config["configurable"].get("checkpoint_id"),
            checkpoint=self._dumped(checkpoint, checkpoint["channel_values"]),
            metadata=self.serde.dumps_typed(metadata),
        )
        if metadata.get("step", 0) >= 1:
            self._progressed()
        return _config(config, namespace, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task wrote on top of the latest checkpoint."""
        kept = self._kept.get(config["configurable"].get("checkpoint_ns", ""))
        if kept is None or kept.id != config["configurable"].get("checkpoint_id"):
            return
        if any(channel not in WRITES_IDX_MAP for channel, _ in writes):
            self._progressed()
        for position, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, position)
            if index >= 0 and (task_id, index) in kept.writes:
                continue
            kept.writes[task_id, index] = (
                channel,
                self._dumped(value, {channel: value}),
                task_path,
            )

    def _progressed(self) -> None:
        self.progress += 1
        self.last_progress = time.monotonic()

    def _dumped(self, value: Any, channels: Mapping[str, Any]) -> Serialized:
        try:
            return self.serde.dumps_typed(value)
        except Exception as error:  # of the serializer, or of the value's own methods
            raise BrokenContract(
                f"{self._unkept(channels)} can't be kept in a snapshot: keep plain data in the state"
            ) from error

    def _unkept(self, channels: Mapping[str, Any]) -> str:
        for channel, value in channels.items():
            try:
                self.serde.dumps_typed(value)
            except Exception:
                return f"the {type(value).__name__} in channel {channel!r}"
        return "the state"


def _is_nested_run(name: str, namespace: str) -> bool:
    """Whether `name` is the run of a graph nested in `namespace`; those with `checkpointer=True`
    have no task id and live on."""
    inside = name != namespace and (not namespace or name.startswith(f"{namespace}|"))
    return inside and ":" in name.rsplit("|", 1)[-1]


def _config(config: RunnableConfig, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": config["configurable"]["thread_id"],
            "checkpoint_ns": namespace,
            "checkpoint_id": checkpoint_id,
        }
    }
