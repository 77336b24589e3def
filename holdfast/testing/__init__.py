"""For those who bring a graph: run it alone, or a whole platform with it, with a model that a test scripts.

`open_turn` runs one graph in this process, without Temporal and without Postgres. `Platform.open` is a worker
and a client on real servers, which the fixture `stack_settings` (`holdfast.testing.fixtures`) starts.
"""

from holdfast.extras import extra

with extra("worker,testing", "holdfast.testing"):
    from holdfast.testing.eventually import eventually as eventually
    from holdfast.testing.graph_turn import GraphTurn as GraphTurn
    from holdfast.testing.graph_turn import action_results as action_results
    from holdfast.testing.graph_turn import open_turn as open_turn
    from holdfast.testing.platform import Platform as Platform
    from holdfast.testing.reads import GivenRows as GivenRows
    from holdfast.testing.reads import open_reads as open_reads
    from holdfast.testing.recorded_history import read_history as read_history
    from holdfast.testing.replay import HistoryBroken as HistoryBroken
    from holdfast.testing.replay import replay_failure as replay_failure
    from holdfast.testing.replay import require_replay as require_replay
    from holdfast.testing.scripted_model import Hold as Hold
    from holdfast.testing.scripted_model import ModelReply as ModelReply
    from holdfast.testing.scripted_model import ScriptedModel as ScriptedModel
    from holdfast.testing.scripted_model import failure as failure
    from holdfast.testing.scripted_model import last_message as last_message
    from holdfast.testing.scripted_model import structured as structured
    from holdfast.testing.scripted_model import text as text
    from holdfast.testing.scripted_model import tool_calls as tool_calls
    from holdfast.testing.triage import is_triage as is_triage
    from holdfast.testing.triage import route as route
    from holdfast.testing.triage import routed_to as routed_to
    from holdfast.testing.worker_process import WorkerProcess as WorkerProcess
