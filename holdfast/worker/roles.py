"""What a worker process does."""

from enum import StrEnum


class Role(StrEnum):
    """The part of a deployment that a process is."""

    ALL = "all"
    WORKFLOWS = "workflows"
    SUBGRAPHS = "subgraphs"
    ACTIONS = "actions"
    NOTIFICATIONS = "notifications"

    def includes(self, role: "Role") -> bool:
        """Whether a process of this role does what `role` does."""
        return self in (Role.ALL, role)
