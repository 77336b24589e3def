"""What these workflows did otherwise once. Runs that began then are replayed as they were recorded: where their code
differs from today's, `workflow.patched` asks for one of these ids, which histories hold.
"""

ALL_TURNS_END = "closing-ends-all-turns"
"""Closing ended only the turns that waited for a decision when it began."""

COMPARED = "a-decision-under-a-used-id-is-compared"
"""Whatever was sent under the id of a decision was answered with what had become of that one."""

DECIDED_IS_CANCELLED = "a-turn-decided-meanwhile-is-cancelled"
"""A turn escaped its cancellation when it was decided, or held back by a takeover, at the same time."""

FLOODS_END = "a-flood-of-signals-ends"
"""Refused signals counted against their bound while they waited only. A full run took no messages until it had
worked off what signals had started, and tried to end whatever came in between."""

FULL_AT_ONCE = "full-at-once"
"""Messages that came in one workflow task were all accepted, even if there was room for one only."""

FULL_MOVES = "a-full-run-moves-on"
"""A run continued as new after a number of turns alone, however much else it was sent."""

HEARD_FIRST = "what-came-before-an-alarm-is-heard-first"
"""Decisions that came while no worker ran were refused, and taken for silence, once a deadline was past."""

NOT_BEGUN_IS_LEFT = "an-action-nobody-has-begun-is-left"
"""Stopping a turn waited for its action, also where no worker had it."""

RECORDED_FIRST = "a-takeover-is-recorded-first"
"""A takeover took effect before it was recorded, which may refuse it."""

REST_IS_LEFT = "a-stopped-proposal-leaves-its-rest"
"""Stopping a turn left the action that was to be executed; those after it were executed."""

SIGNALS_ARE_BOUNDED = "signals-are-bounded"
"""Each signal started an activity, all of them at once."""

TURN_SECONDS = "turn-seconds"
"""A turn had no end in time."""
