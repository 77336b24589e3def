"""Names that cross the wire: workflow, updates, signals, queries, activities, queues, attributes.

Recorded histories contain them; renaming one breaks replay.
"""

CONVERSATION_WORKFLOW = "ConversationWorkflow"
NOTIFICATION_WORKFLOW = "NotificationWorkflow"
OPERATION_WORKFLOW = "OperationWorkflow"

SEND_MESSAGE = "send_message"
DECIDE = "decide"
TAKE_OVER = "take_over"
REPLY_AS_HUMAN = "reply_as_human"
HAND_BACK = "hand_back"
CANCEL_TURN = "cancel_turn"
APPROVAL_DECISION = "approval_decision"
CLOSE = "close"
UPGRADE = "upgrade"
SEND_ALSO = "send_also"

OPEN_CONVERSATION = "open_conversation"
RUN_SUBGRAPH = "run_subgraph"
EXECUTE_ACTION = "execute_action"
COMPENSATE_ACTION = "compensate_action"
LEAVE_ACTION = "leave_action"
DECIDE_APPROVAL = "decide_approval"
RECORD_REFUSAL = "record_refusal"
RECORD_ALARM = "record_alarm"
RECALL_TURN = "recall_turn"
END_TURN = "end_turn"
ANNOUNCE_DELAY = "announce_delay"
RECORD_HUMAN_TURN = "record_human_turn"
RECORD_TAKEOVER = "record_takeover"
CLOSE_CONVERSATION = "close_conversation"
SEND_DELIVERY = "send_delivery"
FORK_CONVERSATION = "fork_conversation"
RECORD_READING = "record_reading"
RECORD_SIGHTING = "record_sighting"
RECORD_EXPORT = "record_export"
REDRIVE_DELIVERIES = "redrive_deliveries"

TRIAGE = "triage"
"""The subgraph that gets each message first."""


def workflows_queue(task_queue: str) -> str:
    """Where workflow tasks go."""
    return f"{task_queue}-workflows"


def subgraphs_queue(task_queue: str) -> str:
    """Where subgraph steps go, and what records conversations."""
    return f"{task_queue}-subgraphs"


def actions_queue(task_queue: str) -> str:
    """Where actions are executed."""
    return f"{task_queue}-actions"


def package_queue(task_queue: str, package: str | None) -> str:
    """The queue of those workers that have the package; without one, the queue that all of them share."""
    return f"{task_queue}.{package}" if package else task_queue


def notifications_queue(task_queue: str) -> str:
    """Where notifications are sent, apart from the rest, since a receiver may hang."""
    return f"{task_queue}-notifications"


SEARCH_ATTRIBUTES: dict[str, str] = {
    "HoldfastTenant": "Keyword",
    "HoldfastStatus": "Keyword",
    "HoldfastAgent": "Keyword",
    "HoldfastPriority": "Keyword",
    "HoldfastApprovalRoles": "KeywordList",
    "HoldfastApprovalDue": "Datetime",
}
"""The search attributes that every namespace needs, with their Temporal types."""
