"""What is counted, for Temporal's metrics of the worker."""

from temporalio import activity


def count_blocked_loop(node: str) -> None:
    """A node has kept its worker from doing anything else. Called in the context of an activity."""
    activity.metric_meter().create_counter(
        "holdfast_blocked_loops", "Times that a node has blocked its worker's event loop", "times"
    ).add(1, {"node": node})
