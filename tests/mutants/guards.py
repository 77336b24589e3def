"""What is promised, the guard that keeps it, and the tests that go red when the guard is taken out.

A new guard gets a line here: the promise in a few words, the file, a piece of its text that occurs once,
what stands in its place without the guard, and the narrowest tests that notice.
"""

from dataclasses import dataclass

from tests.mutants.trees import ROOT, Mutant


@dataclass(frozen=True)
class Guard:
    """A guard; `old` becomes `new` when it is taken out. With `waits`, its tests wait long for what does
    not happen without it."""

    promise: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    waits: bool = False

    def removed(self) -> Mutant:
        """The code without the guard."""
        text = (ROOT / self.path).read_text()
        assert text.count(self.old) == 1, f"{self.path} has {text.count(self.old)} × {self.old!r}"
        return Mutant(self.path, self.promise, text.replace(self.old, self.new))


_PERMISSION = "tests/activities/test_permission.py"
_LENT = "tests/activities/test_lent.py"
_TURNS = "tests/activities/test_taking_turns.py"
_LOST = "tests/workflows/test_lost_runs.py"
_WINDOWS = "tests/activities/test_windows.py"
_REPEATS = "tests/workflows/test_repeats.py"
_APPROVAL = "tests/domain/test_approval.py"
_STEPS = "tests/store/test_steps.py"
_STATEMENTS = "tests/security/test_statements.py"
_LEDGER = "tests/llm/test_step_ledger.py"
_ANSWERS = "tests/llm/answer/test_cases.py"
_LONG = "tests/llm/offline/test_long.py"
_LIMITS = "tests/domain/policy/test_limits.py"
_SILENCE = "tests/workflows/test_silence.py"
_FLOODED = "tests/workflows/test_flooded.py"
_WORKFLOWS = "tests/workflows/test_deciding.py"
_TOOL_AGENT = "tests/graphs/test_tool_agent.py"

GUARDS: tuple[Guard, ...] = (
    # What the offline model takes for understood
    Guard(
        "nothing is called for a message that is too long to be understood",
        "holdfast/llm/offline/transport.py",
        "    if asked.is_too_long:",
        "    if False:",
        (_LONG,),
    ),
    Guard(
        "a structured answer says nothing of a message that is too long to be understood",
        "holdfast/llm/offline/request.py",
        'return "" if self.is_too_long else self.asked',
        "return self.asked",
        (_LONG,),
    ),
    Guard(
        "messages that are too long together are no request",
        "holdfast/llm/offline/goals.py",
        "if len(words) > LONGEST_REQUEST:",
        "if False:",
        (_LONG,),
    ),
    # What a tenant's policy may cost the others
    Guard(
        "repetitions multiply what a pattern costs to compile",
        "holdfast/domain/policy/patterns.py",
        "compiling=_COMPILING + copies * sum(compiling)",
        "compiling=_COMPILING + sum(compiling)",
        (_LIMITS,),
    ),
    Guard(
        "the conditions on one action are evaluated within what they may cost together",
        "holdfast/domain/policy/conditions.py",
        "if cost > self._left:",
        "if False:",
        (_LIMITS,),
    ),
    Guard(
        "a policy file has so many rules at most",
        "holdfast/domain/policy/rules.py",
        "if len(rules) > MOST_RULES:",
        "if False:",
        (_LIMITS,),
    ),
    Guard(
        "what is to expire in working time expires within ten years",
        "holdfast/domain/policy/rules.py",
        "if asked.expire_after > self.working_time.surely:",
        "if False:",
        (_LIMITS,),
    ),
    Guard(
        "policy is asked beside the event loop",
        "activities/policy_threads.py",
        "return await asyncio.get_running_loop().run_in_executor(_THREADS, run)",
        "return run()",
        ("tests/activities/test_policy_threads.py",),
    ),
    Guard(
        "only who reads the records can say that somebody has seen an approval",
        "activities/operations.py",
        "if request.receipt != await receipt_of(connection, request.tenant, record.id):",
        "if False:",
        ("tests/workflows/test_operations.py",),
    ),
    Guard(
        "the roles in a search attribute are as many as Temporal takes",
        "workflows/overview.py",
        "while len(json.dumps(listed)) > _LARGEST_ROLES:",
        "while False:",
        ("tests/workflows/test_policy_limits.py",),
        waits=True,
    ),
    # What is executed
    Guard(
        "conditions see one kind of number",
        "holdfast/domain/policy/conditions.py",
        "{name: in_one_form(value) for name, value in variables.items()}",
        "dict(variables)",
        ("tests/domain/policy/test_numbers.py",),
    ),
    Guard(
        "a division by zero fails",
        "holdfast/domain/policy/numbers.py",
        "return float(value) or None",
        "return float(value)",
        ("tests/domain/policy/test_numbers.py",),
    ),
    Guard(
        "a division by a zero that is written down fails",
        "holdfast/domain/policy/expressions.py",
        'part.kind != "literal" or part.is_zero',
        'part.kind != "literal"',
        ("tests/domain/policy/test_numbers.py",),
    ),
    Guard(
        "what is a letter to Postgres is one to whoever reads a lent connection's statements",
        "holdfast/store/lent.py",
        r'_LETTER = r"A-Za-z_\x80-\U0010ffff"',
        r'_LETTER = r"A-Za-z_"',
        ("tests/store/test_lent.py",),
    ),
    Guard(
        "the customer is told how often something was done",
        "holdfast/domain/endings.py",
        "title if count == 1 else often",
        "title if True else often",
        ("tests/domain/test_endings.py",),
    ),
    Guard(
        "what an action's new form makes of a record is not executed",
        "activities/arguments.py",
        "    if names := sorted(changed):",
        "    if names := sorted(changed)[:0]:",
        ("tests/activities/test_arguments.py",),
    ),
    Guard(
        "what a new form works out is compared with what was recorded",
        "activities/arguments.py",
        "names = worked_out.keys() | recorded.keys()",
        "names = (worked_out.keys() | recorded.keys()) - computed",
        ("tests/activities/test_arguments.py",),
    ),
    Guard(
        "what a model leaves out of what it writes is not executed",
        "activities/arguments.py",
        "if unwritten := sorted(set(_unwritten(arguments, now))):",
        "if unwritten := []:",
        ("tests/activities/test_arguments.py",),
    ),
    Guard(
        "what is rehearsed is read from the record",
        "activities/arguments.py",
        "    return arguments, recorded\n",
        "    return proposed, recorded\n",
        ("tests/activities/test_arguments.py",),
    ),
    Guard(
        "equal values repeat each other, however they are spelt",
        "holdfast/store/action_history.py",
        "for one in recorded if is_equal(one)",
        "for one in ()",
        ("tests/activities/test_arguments.py",),
    ),
    Guard(
        "a turn that is decided or held back while it is being cancelled is cancelled",
        "workflows/cancellation.py",
        "while self._decided(turn) is not None and workflow.patched(patches.DECIDED_IS_CANCELLED):",
        "while False:",
        ("tests/workflows/test_endings.py::test_a_turn_is_cancelled_that_is_decided_meanwhile",),
    ),
    Guard(
        "a task that blocks its worker does so for the attempt that started it",
        "activities/pulse.py",
        "if one is context.get(_ATTEMPT) or (one.task is task and task is not None):",
        "if one.task is task and task is not None:",
        (
            "tests/activities/test_pulse.py"
            "::test_a_task_that_blocks_the_loop_does_so_for_the_attempt_that_started_it",
        ),
    ),
    Guard(
        "a node is named where a task that it has started blocks its worker",
        "activities/pulse.py",
        "context.get(var_child_runnable_config))",
        "None)",
        (
            "tests/recovery/test_bounds.py::test_a_node_that_blocks_its_worker_is_named_and_fails_nobody",
        ),
    ),
    Guard(
        "statements that brought code has deallocated are prepared again",
        "holdfast/store/pool.py",
        "self._mark_stmts_as_closed()",
        "pass",
        (
            "tests/store/test_pool.py"
            "::test_statements_that_brought_code_has_deallocated_are_prepared_again",
        ),
    ),
    Guard(
        "no statement of one package is taken for another's",
        "holdfast/store/pool.py",
        '"deallocate all; discard temp',
        '"discard temp',
        (
            "tests/store/test_pool.py::test_what_brought_code_leaves_in_its_session_is_not_handed_on",
        ),
    ),
    Guard(
        "a connection that cannot be reset is replaced",
        "holdfast/store/pool.py",
        "        except Exception:\n            self.in_doubt = True\n        self._mark",
        "        except Exception:\n            pass\n        self._mark",
        ("tests/store/test_pool.py::test_a_connection_that_cannot_be_reset_is_replaced",),
    ),
    Guard(
        "a connection whose statements are not its session's is replaced",
        "holdfast/store/pool.py",
        ' != "ERROR" or isinstance(error, _MIXED_UP)',
        ' != "ERROR"',
        (
            "tests/store/test_pool.py"
            "::test_a_connection_whose_statements_are_not_its_session_s_is_replaced",
        ),
    ),
    Guard(
        "of a connection only what sends statements is lent",
        "holdfast/store/lent.py",
        'elif _name not in _OTHERS and not _name.startswith("_"):',
        "elif False:",
        ("tests/store/test_lent.py::test_whatever_else_a_connection_has_is_not_lent",),
    ),
    Guard(
        "what brought code changes in its session is put back",
        "holdfast/store/pool.py",
        "if connection.is_lent and not connection.in_doubt:",
        "if False:",
        (
            "tests/activities/test_actions.py"
            "::test_an_action_that_changes_its_session_changes_nobody_else_s",
        ),
    ),
    Guard(
        "a refusal after an unanswered call says nothing of that call",
        "activities/actions.py",
        "if error is not None and record.tries > 1:",
        "if False:",
        (
            "tests/activities/test_actions.py::test_a_refusal_after_a_call_without_an_answer_says_nothing_of_that_call",
        ),
    ),
    Guard(
        "what another system was asked to take back may have been taken back",
        "activities/actions.py",
        "if record.undo_tries:",
        "if False:",
        (
            "tests/activities/test_actions.py::test_of_what_another_system_was_asked_to_take_back_nobody_knows_whether_it_was",
        ),
    ),
    Guard(
        "what another system refuses to take back, or was never asked to, stands",
        "holdfast/store/actions.py",
        "and state = 'undoing' and undo_tries = 1",
        "and false",
        ("tests/activities/test_actions.py::test_what_another_system_does_not_take_back_stands",),
    ),
    Guard(
        "what is to stand is not said to have failed to be undone",
        "activities/actions.py",
        """if record.state != "executed" or not await is_to_be_undone(""",
        """if record.state != "executed" or None is await is_to_be_undone(""",
        (
            "tests/activities/test_actions.py"
            "::test_what_is_executed_stands_while_nothing_of_its_proposal_has_failed",
        ),
    ),
    Guard(
        "an approved action is described as its reviewers saw it",
        "activities/permission.py",
        "changed = changed or _other_description(action, record.description, description)",
        "pass",
        (f"{_PERMISSION}::test_another_description_than_the_one_that_was_shown_is_stale",),
    ),
    Guard(
        "no more is said of facts that have changed than what fits a log",
        "activities/permission.py",
        "return line(text, _FACT_CHARACTERS)",
        "return text",
        (f"{_PERMISSION}::test_facts_of_any_size_are_stale_in_few_words",),
    ),
    Guard(
        "what was handed in and not taken is no silence",
        "activities/alarms.py",
        "if not silent or await was_passed_over(",
        "if not silent or False and await was_passed_over(",
        (f"{_SILENCE}::test_what_somebody_has_said_is_no_silence_also_where_no_workflow_takes_it",),
    ),
    Guard(
        "what somebody has said to whom a voice was lent is no silence",
        "activities/alarms.py",
        "lent_to=approval.lent_to(counts),",
        "",
        (f"{_SILENCE}::test_what_somebody_has_said_to_whom_a_voice_was_lent_is_no_silence",),
    ),
    Guard(
        "a word under an id that was taken for another one is no silence",
        "holdfast/store/handed_in.py",
        "else taken.content = said.content end",
        "else true end",
        (f"{_SILENCE}::test_a_word_under_an_id_that_was_taken_for_another_one_breaks_the_silence",),
    ),
    Guard(
        "a genuine decision that was refused is no silence",
        "activities/approvals.py",
        "await note_handed_in(connection, key, decision)",
        "pass",
        (f"{_SILENCE}::test_what_was_signalled_before_the_alarm_went_off_is_no_silence",),
    ),
    Guard(
        "a forged decision breaks no silence",
        "activities/approvals.py",
        "if genuine and await is_left_to_silence(",
        "if await is_left_to_silence(",
        (f"{_SILENCE}::test_forged_words_break_no_silence",),
    ),
    Guard(
        "an alarm waits for the signals that came before it",
        "workflows/approvals.py",
        "if before and workflow.patched(patches.HEARD_FIRST):",
        "if False:",
        (f"{_SILENCE}::test_what_was_signalled_before_the_alarm_went_off_is_no_silence",),
    ),
    Guard(
        "a decision under an id that was used for another one is refused",
        "activities/approvals.py",
        "if before.content != request.decision.content:",
        "if False:",
        (
            "tests/workflows/test_deciding.py::test_an_id_that_was_used_answers_for_no_other_decision",
        ),
    ),
    Guard(
        "a used id is compared with the records",
        "workflows/approvals.py",
        "return status if outcome.approval is not None else outcome",
        "return status",
        (
            "tests/workflows/test_deciding.py::test_an_id_that_was_used_answers_for_no_other_decision",
        ),
    ),
    Guard(
        "what was handed in is noted before a workflow hears of it",
        "holdfast/client/approvals.py",
        'if record.approval.on_expiry == "allow":',
        "if False:",
        (f"{_SILENCE}::test_what_somebody_has_said_is_no_silence_also_where_no_workflow_takes_it",),
    ),
    Guard(
        "silence counts for no other rule that doesn't take it for consent",
        "activities/permission.py",
        'allows = rule.on_expiry == "allow" and until <= approval.expires_at',
        "allows = True",
        (f"{_PERMISSION}::test_silence_counts_only_for_rules_that_take_as_much_of_it_for_consent",),
    ),
    Guard(
        "an approval that was asked for under another rule has to be met by people",
        "activities/permission.py",
        "if not approval.ended_by_silence:",
        "if True:",
        (f"{_PERMISSION}::test_silence_counts_only_for_rules_that_take_as_much_of_it_for_consent",),
    ),
    Guard(
        "silence about an edit means what the stricter rule says",
        "holdfast/domain/transitions.py",
        '"on_expiry": strictest((*ends, "person") if too_soon else ends),',
        "",
        (
            f"{_APPROVAL}::test_an_edit_takes_the_stricter_end_and_the_earlier_deadline_of_its_rules",
        ),
    ),
    Guard(
        "an edit may bring an earlier deadline, and its timer",
        "workflows/approvals.py",
        "if outcome.approval.due_at < parked.approval.due_at:  # an edit may shorten it",
        "if False:",
        (f"{_SILENCE}::test_an_edit_into_a_rule_with_an_earlier_deadline_ends_by_then",),
        waits=True,
    ),
    Guard(
        "refusals of signals are recorded up to a bound, and nothing is started for more",
        "workflows/approvals.py",
        "if full or self._refused[kind] >= _MOST_REFUSALS:",
        "if False:",
        (
            f"{_FLOODED}::test_signals_that_are_refused_are_recorded_up_to_a_bound_and_the_last_one_says_so",
        ),
        waits=True,
    ),
    Guard(
        "signals on one approval that are too many are dropped",
        "workflows/approvals.py",
        "if self._looked_at[approval_id] >= _MOST_LOOKED_AT:",
        "if False:",
        (f"{_FLOODED}::test_signals_on_one_approval_that_are_too_many_are_dropped",),
        waits=True,
    ),
    Guard(
        "what was refused once it was looked at counts against a run's bound of signals",
        "workflows/approvals.py",
        "counts = self._floods_end\n",
        "counts = False\n",
        (f"{_FLOODED}::test_decisions_that_were_refused_count_against_the_bound_of_a_run",),
        waits=True,
    ),
    Guard(
        "a turn that is stopped between its actions leaves the rest",
        "workflows/action_calls.py",
        "if self._stopped and workflow.patched(patches.REST_IS_LEFT):",
        "if False:",
        (
            "tests/workflows/test_endings.py::"
            "test_a_turn_cancelled_between_its_actions_leaves_those_that_nobody_has_begun",
            "tests/workflows/test_endings.py::"
            "test_an_approved_turn_cancelled_between_its_actions_leaves_the_rest",
        ),
        waits=True,
    ),
    Guard(
        "a run whose history is long moves on, whatever made it long",
        "workflows/conversation.py",
        "if self._must_drain():\n            return True",
        "if False:\n            return True",
        (
            f"{_FLOODED}::test_a_parked_conversation_that_is_only_sent_signals_continues_as_new",
            f"{_FLOODED}::test_updates_that_are_taken_and_then_refused_lose_none_over_a_new_run",
        ),
        waits=True,
    ),
    Guard(
        "what was claimed is not allowed by silence",
        "activities/alarms.py",
        "silent = able and not approval.claims  # a claim has kept others off",
        "silent = able",
        (f"{_SILENCE}::test_silence_behind_a_claim_hands_over",),
        waits=True,
    ),
    Guard(
        "an action begins only when those before it are executed",
        "activities/permission.py",
        'if one.state != "executed":',
        "if False:",
        (f"{_PERMISSION}::test_an_action_does_not_begin_before_those_in_front_of_it_are_executed",),
    ),
    Guard(
        "what was begun is not ended with the rest of its proposal",
        "holdfast/store/actions.py",
        "           and not exists (select from holdfast.executions as execution\n"
        "                            where execution.tenant = $1 and execution.action = action.id)\n",
        "",
        (f"{_PERMISSION}::test_what_was_begun_is_not_ended_as_if_it_had_not_been",),
    ),
    Guard(
        "windows count what was executed with the facts that it was executed with",
        "activities/actions.py",
        "                facts=facts,\n",
        "",
        (f"{_WINDOWS}::test_what_is_executed_counts_with_the_facts_that_it_was_executed_with",),
    ),
    Guard(
        "every signed statement is verified again when the action runs",
        "activities/actions.py",
        "await self._resources.verifier.verify(one.decision, tenant=request.tenant, at=one.at)",
        "pass",
        (f"{_PERMISSION}::test_a_forged_acceptance_is_not_executed",),
    ),
    Guard(
        "a statement is spent by what was signed, however its signature is written",
        "holdfast/store/statements.py",
        'signed = statement.rpartition(".")[0] or statement',
        "signed = statement",
        ("tests/store/test_statements.py",),
    ),
    Guard(
        "a statement that is spent is spent for the activity that spent it, too",
        "holdfast/store/statements.py",
        "return len(spent) == len(texts)",
        "return True",
        ("tests/activities/test_late_attempts.py",),
    ),
    Guard(
        "a statement that is not written as a JWS has to be is refused",
        "holdfast/security/tokens.py",
        "    _check_written(statement)\n",
        "",
        (f"{_STATEMENTS}::test_a_statement_whose_last_letter_has_other_spare_bits_is_refused",),
    ),
    Guard(
        "closing ends the decided turns that a person's takeover holds back",
        "workflows/conversation.py",
        "for approval_id in list(self._state.resuming):",
        "for approval_id in ():",
        (
            "tests/workflows/test_endings.py::"
            "test_closing_ends_a_decided_turn_that_a_person_s_takeover_held_back",
        ),
    ),
    Guard(
        "parked turns whose run is over are ended when the conversation goes on",
        "holdfast/store/conversations.py",
        'if not row["created"]:\n',
        "if False:\n",
        (
            "tests/workflows/test_endings.py::"
            "test_a_held_back_turn_whose_run_was_terminated_ends_when_the_conversation_goes_on",
        ),
    ),
    Guard(
        "turns that a lost run has left running are ended when the conversation goes on",
        "holdfast/store/turns.py",
        "ended_at is null and turn is distinct from $3",
        "ended_at is null and status <> 'running' and turn is distinct from $3",
        (f"{_LOST}::test_a_later_message_ends_a_lost_turn_by_what_was_done",),
    ),
    Guard(
        "the message that opens a conversation takes up its own turn",
        "holdfast/store/conversations.py",
        "besides=repeated.turn if repeated and asks_again else None,",
        "besides=None,",
        (f"{_LOST}::test_a_lost_turn_whose_message_comes_first_is_taken_up_again",),
    ),
    Guard(
        "nobody else's message takes a lost turn up",
        "holdfast/store/conversations.py",
        'not answered and row["customer"] == customer\n            awaits',
        "not answered\n            awaits",
        (f"{_LOST}::test_somebody_else_s_message_takes_up_no_lost_turn",),
    ),
    Guard(
        "a person is called for a lost turn with an effect",
        "holdfast/store/conversations.py",
        "to_person=not was_closed,",
        "to_person=False,",
        (f"{_LOST}::test_a_lost_turn_that_was_parked_after_an_effect_calls_a_person",),
    ),
    Guard(
        "an action that no worker has is given up in time",
        "activities/actions.py",
        " and not waited_for_long(request, error)",
        "",
        ("tests/worker/test_unserved.py",),
    ),
    Guard(
        "an action that no worker takes is left in time",
        "workflows/activity_calls.py",
        "            schedule_to_start_timeout=begun_within,\n",
        "",
        ("tests/worker/test_unserved.py",),
    ),
    Guard(
        "cancelling a turn leaves the action that nobody has begun",
        "workflows/turns.py",
        "            self._actions.stop()",
        "            pass",
        ("tests/worker/test_unserved.py",),
    ),
    Guard(
        "an action that was begun is not left",
        "activities/abandonment.py",
        "if record.begun:",
        "if False:",
        ("tests/activities/test_abandonment.py",),
    ),
    Guard(
        "an action that was begun to be undone is not left standing",
        "activities/abandonment.py",
        "if record.undo_tries:",
        "if False:",
        ("tests/activities/test_abandonment.py",),
    ),
    Guard(
        "a call for a person outlives its run",
        "workflows/takeovers.py",
        "(opened.held_by is not None or opened.awaits_person)",
        "opened.held_by is not None",
        (f"{_LOST}::test_a_call_for_a_person_outlives_its_run",),
    ),
    Guard(
        "what is executed is what was shown: the digest is compared",
        "activities/actions.py",
        "if approval.args_digest != shown_digest(shown, approval.covers):",
        "if False:",
        (f"{_PERMISSION}::test_what_is_changed_in_the_table_after_the_approval_is_not_executed",),
    ),
    Guard(
        "the approval is worked out from its decisions, whatever its row says",
        "activities/actions.py",
        'if recorded.state != "accepted" or approval.state != "accepted":',
        "if False:",
        (f"{_WORKFLOWS}::test_a_forged_workflow_cannot_execute_what_nobody_approved",),
    ),
    Guard(
        "facts and policy are asked again when the action runs",
        "activities/actions.py",
        "if permitted.objection is not None:",
        "if False:",
        ("tests/shop/test_permission.py::test_both_judged_before_either_runs_the_second_is_stale",),
    ),
    Guard(
        "no other action on the subject runs between permission and effect",
        "activities/actions.py",
        "    await lock_subjects(connection, request.tenant, [subject])\n",
        "",
        (f"{_PERMISSION}::test_no_action_begins_between_another_s_permission_and_its_commit",),
        waits=True,
    ),
    Guard(
        "no other action on the subject runs while one is under way on another system",
        "activities/actions.py",
        "    await require_no_call(connection, request.tenant, [subject], besides=record.id)\n",
        "",
        (f"{_TURNS}::test_what_a_dead_worker_has_sent_keeps_others_off_until_its_end_is_known",),
    ),
    Guard(
        "an action that has ended is not executed again",
        "activities/actions.py",
        'if record.state != "proposed":\n                return report_of(record)\n'
        "            await require_order(connection, request, record)\n            action =",
        "action =",
        (
            "tests/activities/test_actions.py::test_another_system_that_has_answered_is_not_called_again",
        ),
    ),
    Guard(
        "facts that were shown and have changed make it stale",
        "activities/permission.py",
        "        if changed is not None:\n            return Permission(objection=changed)\n",
        "",
        ("tests/shop/test_permission.py::test_what_a_reviewer_saw_is_paid_or_nothing",),
    ),
    Guard(
        "a denial of the policy in force counts",
        "activities/permission.py",
        "    if asked is not current:\n        now = await verdict(current)\n"
        '        if now.kind == "deny":',
        "    if asked is not current:\n        now = await verdict(current)\n        if False:",
        (
            f"{_PERMISSION}::test_a_denial_of_the_policy_in_force_counts_beside_the_version_asked_under",
        ),
    ),
    Guard(
        "an approval that is needed now and was not given makes it stale",
        "activities/permission.py",
        "if now.approve is not None and not _is_given(asked, now.approve, approval):",
        "if False:",
        (f"{_PERMISSION}::test_a_window_is_counted_again_when_the_action_runs",),
    ),
    Guard(
        "facts only read",
        "holdfast/store/subjects.py",
        "; set local transaction_read_only = on",
        "",
        (f"{_PERMISSION}::test_facts_cannot_write",),
    ),
    Guard(
        "brought code sends nothing that ends its transaction",
        "holdfast/store/pool.py",
        "return Lent(connection)",
        "return connection",
        (
            f"{_LENT}::test_a_rehearsal_that_wants_to_end_its_transaction_leaves_nothing_and_is_not_tried_again",
        ),
    ),
    Guard(
        "it is noticed where brought code has ended its transaction",
        "holdfast/store/subjects.py",
        "except (asyncpg.NoActiveSQLTransactionError, asyncpg.InvalidSavepointSpecificationError):",
        "except ZeroDivisionError:",
        (f"{_LENT}::test_of_an_action_that_has_ended_its_transaction_nobody_knows_what_it_did",),
    ),
    Guard(
        "what an action has committed by itself is not done again",
        "activities/actions.py",
        "if record.begun and not action.remote:",
        "if False:",
        (f"{_LENT}::test_what_a_dead_worker_s_action_has_committed_is_not_done_again",),
    ),
    Guard(
        "an attempt counts that blocks its worker until its time is over",
        "activities/pulse.py",
        "if by is not None and by.is_late_on(loop, time.monotonic()):",
        "if False:",
        (
            "tests/recovery/test_bounds.py"
            "::test_an_attempt_that_blocks_its_worker_until_its_time_is_over_counts",
        ),
    ),
    Guard(
        "nothing makes a read write",
        "holdfast/store/subjects.py",
        "'10min'; select 1\"",
        "'10min'\"",
        ("tests/store/test_lent.py::test_nothing_makes_a_read_write",),
    ),
    Guard(
        "a rehearsal leaves nothing behind",
        "activities/rehearsal.py",
        "await transaction.rollback()",
        "await transaction.commit()",
        (f"{_PERMISSION}::test_a_rehearsal_leaves_nothing_behind",),
    ),
    Guard(
        "parallel conversations cannot slip under a limit together",
        "holdfast/store/windows.py",
        '        await take_lock(connection, f"{tenant}/window/{name}")',
        "        pass",
        (f"{_PERMISSION}::test_two_proposals_are_not_counted_at_once_under_one_window",),
        waits=True,
    ),
    Guard(
        "the policy that it was asked under counts as well",
        "activities/permission.py",
        "    if asked is not None:\n        now = await verdict(asked)\n",
        "    if asked is not None:\n        now = await verdict(current)\n",
        (f"{_PERMISSION}::test_the_version_that_was_asked_under_is_asked_again",),
    ),
    Guard(
        "no action of a proposal runs before all can",
        "activities/routing.py",
        "            fleet.place_of_action(name)\n",
        "            pass\n",
        ("tests/worker/test_fleets.py::test_no_action_of_a_proposal_runs_before_all_can",),
        waits=True,
    ),
    Guard(
        "an action on another system has the same key on every try",
        "activities/actions.py",
        "        idempotency_key=record.id,\n        connection=connection and lend(connection),\n    )",
        '        idempotency_key=f"{record.id}-{activity.info().attempt}",\n'
        "        connection=connection and lend(connection),\n    )",
        (
            "tests/activities/test_remote_actions.py::test_a_call_that_fails_is_made_again_with_the_same_key",
        ),
    ),
    Guard(
        "what waits to be executed counts for a window",
        "holdfast/store/sql/sum_of_window.sql",
        "where tenant = :tenant and name = any(:actions) and state = 'proposed'",
        "where tenant = :tenant and name = any(:actions) and false",
        (f"{_WINDOWS}::test_what_waits_counts_however_long_it_waits",),
    ),
    Guard(
        "what waits counts for a window however long it waits",
        "holdfast/store/sql/sum_of_window.sql",
        "where tenant = :tenant and name = any(:actions) and state = 'proposed'",
        "where tenant = :tenant and name = any(:actions) and state = 'proposed'\n"
        "           and created_at > now() - :within::interval",
        (f"{_WINDOWS}::test_what_waits_counts_however_long_it_waits",),
    ),
    Guard(
        "what is executed counts for a window from then on",
        "holdfast/store/sql/sum_of_window.sql",
        "and updated_at > now() - :within::interval",
        "and created_at > now() - :within::interval",
        (f"{_WINDOWS}::test_what_is_executed_counts_from_when_it_was",),
    ),
    Guard(
        "what may have been done on another system counts for a window",
        "holdfast/store/sql/sum_of_window.sql",
        "and execution.subject is not null",
        "and false",
        (f"{_WINDOWS}::test_a_payment_of_unknown_outcome_counts",),
    ),
    Guard(
        "what a reviewer has edited is still what the customer asked for",
        "holdfast/store/sql/equal_action.sql",
        "(action.arguments = any(:spellings) or action.proposed = any(:spellings))",
        "action.arguments = any(:spellings)",
        (f"{_REPEATS}::test_what_a_reviewer_has_edited_is_what_the_customer_asked_for_as_well",),
    ),
    # Who decides
    Guard(
        "a decision needs a role that counts",
        "holdfast/domain/transitions.py",
        "if not matching:",
        "if False:",
        (f"{_APPROVAL}::test_roles_that_count_are_needed_and_named",),
    ),
    Guard(
        "a decision is about exactly what the reviewer saw",
        "holdfast/domain/transitions.py",
        "if decision.digest != approval.args_digest:",
        "if False:",
        (f"{_APPROVAL}::test_a_decision_about_other_arguments_is_refused",),
    ),
    Guard(
        "an approval is decided once",
        "holdfast/domain/transitions.py",
        'if approval.state != "pending":\n        raise AlreadyDecided',
        "if False:\n        raise AlreadyDecided",
        (f"{_APPROVAL}::test_the_first_decision_stands_and_its_repetition_is_recognised",),
    ),
    Guard(
        "an approval is decided before its deadline",
        "holdfast/domain/approval.py",
        'while approval.state == "pending" and now >= approval.due_at:',
        "while False:",
        (f"{_APPROVAL}::test_at_its_deadline_an_approval_can_no_longer_be_decided",),
    ),
    Guard(
        "under four eyes nobody approves what they asked for",
        "holdfast/domain/transitions.py",
        "if any(person.may_be(one) for one in (decision.reviewer, decision.to)):",
        "if False:",
        (f"{_APPROVAL}::test_under_four_eyes_nobody_approves_what_they_asked_for",),
    ),
    Guard(
        "nobody's acceptance counts twice",
        "holdfast/domain/transitions.py",
        'if decision.kind == "accept" and _has_accepted(',
        "if False and _has_accepted(",
        (f"{_APPROVAL}::test_nobody_accepts_twice",),
    ),
    Guard(
        "a statement says exactly the decision it comes with",
        "holdfast/security/statements.py",
        'check_equal(claims, _said(decision, tenant), what="decision")',
        "pass",
        (f"{_STATEMENTS}::test_a_statement_for_another_tenant_is_refused",),
    ),
    Guard(
        "a statement counts while it is good only",
        "holdfast/security/statements.py",
        "claims = claims_of(_Claims, decision.statement, key)\n        check_times(claims, at)\n",
        "claims = claims_of(_Claims, decision.statement, key)\n",
        (f"{_STATEMENTS}::test_a_statement_for_more_than_a_day_is_refused",),
    ),
    Guard(
        "a decision without a statement is refused",
        "holdfast/security/statements.py",
        "if not decision.statement:",
        "if False:",
        (f"{_STATEMENTS}::test_a_decision_without_a_statement_is_refused",),
    ),
    Guard(
        "an approval needs its quorum",
        "holdfast/domain/transitions.py",
        'return voiced if voiced.open_requirements() else _settle(voiced, "accepted", decision)',
        'return _settle(voiced, "accepted", decision)',
        (f"{_APPROVAL}::test_nobody_accepts_twice",),
    ),
    Guard(
        "people of different teams approve where that is asked",
        "holdfast/domain/transitions.py",
        "if folded(decision.team) in {folded(team) for team in teams if team is not None}:",
        "if False:",
        (f"{_APPROVAL}::test_people_have_to_be_of_different_teams_where_that_is_asked",),
    ),
    Guard(
        "a claim keeps others off",
        "holdfast/domain/transitions.py",
        "if claim is not None and not same_person(claim.reviewer, decision.reviewer):",
        "if False:",
        (f"{_APPROVAL}::test_a_claim_keeps_others_off_until_it_runs_out",),
    ),
    Guard(
        "whoever has lent a voice does not use it",
        "holdfast/domain/transitions.py",
        "if same_person(one.reviewer, reviewer):",
        "if False:",
        (f"{_APPROVAL}::test_a_voice_that_is_lent_counts_once_and_can_be_given_back",),
    ),
    Guard(
        "an edit starts the count again",
        "holdfast/domain/transitions.py",
        '"voices": (),\n        }',
        '"voices": approval.voices,\n        }',
        (f"{_APPROVAL}::test_an_edit_starts_the_count_again_and_adds_what_its_arguments_need",),
    ),
    # One writer
    Guard(
        "a late attempt commits nothing over its successor",
        "holdfast/store/sql/commit_step.sql",
        "and run = :run and attempt = :attempt and outcome is null",
        "and :run::text is not null and :attempt::int is not null and outcome is null",
        (f"{_STEPS}::test_a_lower_attempt_cannot_commit_once_a_higher_one_has_begun",),
    ),
    Guard(
        "a lower attempt does not begin a step again",
        "holdfast/store/sql/begin_step.sql",
        "(step.run <> excluded.run or step.attempt <= excluded.attempt)",
        "true",
        (f"{_STEPS}::test_a_lower_attempt_cannot_begin_again",),
    ),
    Guard(
        "a late snapshot is not kept",
        "holdfast/store/steps.py",
        "and run = $5 and attempt = $6 and outcome is null\n           for update",
        "and ($5::text is not null and $6::int is not null) and outcome is null\n"
        "           for update",
        (f"{_STEPS}::test_a_lower_attempt_cannot_commit_once_a_higher_one_has_begun",),
    ),
    Guard(
        "a turn that has ended begins no step",
        "holdfast/store/sql/begin_step.sql",
        "(exists (select from new_turn) or exists (select from open_turn))",
        "true",
        (f"{_STEPS}::test_a_turn_that_has_ended_begins_no_step",),
    ),
    Guard(
        "a late attempt records nothing outside of steps either",
        "holdfast/store/attempt_fence.py",
        "where known.attempt <= excluded.attempt",
        "where true",
        ("tests/activities/test_late_attempts.py::test_a_late_attempt_changes_nothing",),
    ),
    Guard(
        "a model call that was recorded is not made again",
        "holdfast/llm/ledger.py",
        "    def find(self, node: str, digest: str, occurrence: int) -> RecordedCall | None:\n"
        "        return self._calls.get((node, digest, occurrence))\n\n"
        "    async def save(\n        self, node: str, occurrence: int, request: ModelRequest, "
        "answer: ModelAnswer\n    ) -> RecordedCall:\n        call =",
        "    def find(self, node: str, digest: str, occurrence: int) -> RecordedCall | None:\n"
        "        return None\n\n"
        "    async def save(\n        self, node: str, occurrence: int, request: ModelRequest, "
        "answer: ModelAnswer\n    ) -> RecordedCall:\n        call =",
        (f"{_LEDGER}::test_an_attempt_finds_what_an_earlier_one_recorded",),
    ),
    # What a model answers
    Guard(
        "an answer past the bound of its body is not read",
        "holdfast/llm/answer/body.py",
        "if len(body) > bounds.answer_bytes:",
        "if False:",
        (f"{_ANSWERS}::test_an_answer_past_the_bound_of_its_body_is_told_once_and_passed_over",),
    ),
    Guard(
        "the number of a source that is too long for any is none",
        "holdfast/graphs/knowledge/citations.py",
        "len(mark[1]) > _MOST_DIGITS or ",
        "",
        ("tests/graphs/test_citations.py",),
    ),
    Guard(
        "a call costs what the configured model costs",
        "holdfast/llm/client.py",
        "price_of(self._prices, provider.model, model)",
        "price_of(self._prices, model, provider.model)",
        (
            "tests/llm/test_client.py"
            "::test_a_call_costs_what_the_configured_model_costs_whatever_the_answer_says",
        ),
    ),
    # What is told, and to whom
    Guard(
        "an entry of the audit continues the one before it",
        "holdfast/store/audit.py",
        'row["previous_hash"] != self._hash',
        "False",
        ("tests/store/test_audit.py::test_what_was_done_to_the_chain_is_found",),
    ),
    Guard(
        "an approval is read by its tenant alone",
        "holdfast/store/approvals.py",
        "where approval.tenant = :tenant and approval.id = :id",
        "where :tenant::text is not null and approval.id = :id",
        ("tests/store/test_tenancy.py::test_no_read_finds_another_tenants_rows",),
    ),
    Guard(
        "an execution is consumed in its own tenant",
        "holdfast/store/actions.py",
        "update holdfast.approvals set consumed_at = coalesce(consumed_at, now())\n"
        "         where tenant = $1 and id",
        "update holdfast.approvals set consumed_at = coalesce(consumed_at, now())\n"
        "         where id",
        ("tests/store/test_tenancy.py::test_no_write_changes_another_tenants_rows",),
    ),
    # What comes in
    Guard(
        "a repeated message with another text is refused",
        "workflows/intake.py",
        "if differs and self.disputed_by(message) is None:",
        "if False:",
        (
            "tests/workflows/test_turns.py::test_a_repeated_message_gets_the_first_answer_and_other_text_is_refused",
        ),
    ),
    Guard(
        "a conversation is one customer's",
        "workflows/intake.py",
        "if message.customer != self.customer:",
        "if False:",
        ("tests/workflows/test_turns.py::test_a_message_that_may_not_be_sent_leaves_no_trace",),
    ),
    Guard(
        "a full queue refuses, before anything of the message is in the history",
        "workflows/intake.py",
        "if len(self.queue) >= self._limits.queued_messages:",
        "if False:",
        ("tests/workflows/test_intake.py::test_a_full_queue_refuses",),
    ),
    # What an agent with tools may do
    Guard(
        "an agent with tools asks its model so often in a turn at most",
        "holdfast/contract/tool_agent.py",
        ">= MODEL_CALLS:",
        ">= 1_000_000:",
        (f"{_TOOL_AGENT}::test_a_model_that_never_stops_calling_goes_to_a_person",),
    ),
    Guard(
        "what a model is told of a tool's answer is bounded",
        "holdfast/contract/exchange.py",
        "if len(text) > ANSWER_CHARACTERS:",
        "if False:",
        (f"{_TOOL_AGENT}::test_a_long_answer_is_cut_and_says_so",),
    ),
    Guard(
        "an action acts on what it finds when it runs, not on what was shown",
        "holdfast/contract/plan.py",
        "return await execute(context, arguments, await self._make(context, arguments))",
        "return await execute(context, arguments, await self._seen(context, arguments))",
        ("tests/contract/test_plan.py::test_one_look_makes_one_plan_and_execution_its_own",),
    ),
    Guard(
        "a reply under a used id is not answered with another one",
        "activities/people.py",
        "if known is not None and _says_the_same(known, request):",
        "if known is not None:",
        (
            "tests/workflows/test_lifecycle.py::"
            "test_an_id_that_was_used_for_something_else_loses_nobody_s_request",
        ),
    ),
    Guard(
        "a part of a proposal that stands calls a person where another was not done",
        "holdfast/domain/endings.py",
        "or (one.came_to is None and one.step in partly)",
        "",
        (
            "tests/domain/test_endings.py::"
            "test_a_part_that_stands_of_a_proposal_needs_a_person_where_another_was_not_done",
        ),
    ),
)
