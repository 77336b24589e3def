-- Commits all that a step leaves behind, where its attempt still owns it; gives back its reply's number.
with fence as (
    select 1 from holdfast.steps
     where tenant = :tenant and conversation = :conversation and turn = :turn and step = :step
       and run = :run and attempt = :attempt and outcome is null
       for update
), numbers as (
    update holdfast.conversations
       set last_message = last_message + jsonb_array_length(:messages),
           last_event = last_event + jsonb_array_length(:events),
           status = coalesce(:phase, status), agent = coalesce(:agent, agent),
           priority = coalesce(:priority, priority), language = coalesce(:language, language),
           summary = coalesce(:summary, summary),
           summarized_through = coalesce(:summarized_through, summarized_through),
           updated_at = now()
     where tenant = :tenant and id = :conversation and exists (select from fence)
    returning last_message, case when jsonb_array_length(:messages) > 0 then last_message end as reply,
              last_message - jsonb_array_length(:messages) as message_before,
              last_event - jsonb_array_length(:events) as event_before, customer,
              clock_timestamp() as at
), committed as (
    update holdfast.steps
       set committed_at = now(), outcome = :outcome, reply_seq = numbers.reply
      from numbers
     where tenant = :tenant and conversation = :conversation and turn = :turn and step = :step
    returning reply_seq
), said as (
    insert into holdfast.messages
        (tenant, conversation, seq, turn, role, author, text, citations, degraded)
    select :tenant, :conversation, message_before + ordinal, :turn, line ->> 'role', line ->> 'author',
           line ->> 'text', line -> 'citations', (line ->> 'degraded')::boolean
      from numbers, jsonb_array_elements(:messages) with ordinality as new (line, ordinal)
), announced as (
    insert into holdfast.events (tenant, conversation, seq, type, turn, data)
    select :tenant, :conversation, event_before + ordinal, event ->> 'type', (event ->> 'turn')::int,
           case when event ->> 'type' = 'message_sent'
                then event -> 'data' || jsonb_build_object('message', last_message)
                else event -> 'data' end
      from numbers, jsonb_array_elements(:events) with ordinality as new (event, ordinal)
), turn as (
    update holdfast.turns
       set status = coalesce(:turn_status, status), agent = coalesce(:agent, agent),
           result = coalesce(result, :turn_result),
           reply_seq = coalesce(reply_seq, case when :turn_result::jsonb is not null then numbers.reply end),
           ended_at = case when :turn_status in ('answered', 'awaiting_human') then now() end
      from numbers
     where tenant = :tenant and conversation = :conversation and turn = :turn
), proposed as (
    insert into holdfast.actions
        (tenant, conversation, turn, step, id, index, name, arguments, facts, verdict, state,
         policy, policy_version, policy_digest, rule, description, approval, error, created_at,
         result, repeats, customer)
    select :tenant, :conversation, :turn, :step, action ->> 'id', (action ->> 'index')::int, action ->> 'name',
           action -> 'arguments', action -> 'facts', action ->> 'verdict', action ->> 'state',
           action ->> 'policy', (action ->> 'policy_version')::int, action ->> 'policy_digest',
           action ->> 'rule', nullif(action -> 'description', 'null'), action ->> 'approval',
           action ->> 'error', numbers.at, nullif(action -> 'result', 'null'),
           action ->> 'repeats', numbers.customer
      from numbers, jsonb_array_elements(:actions) as action
), asked as (
    insert into holdfast.approvals
        (tenant, conversation, turn, step, id, asked, approval, roles, agent, requester, reason,
         evidence, args_digest, policy_name, policy_version, policy_digest, policy_reason, amount,
         requested_at, due_at, expires_at)
    select :tenant, :conversation, :turn, :step, approval ->> 'id', approval, approval, :roles, asked ->> 'agent',
           'agent:' || (asked ->> 'agent'), asked ->> 'reason', asked -> 'evidence',
           approval ->> 'args_digest', asked ->> 'policy_name', (asked ->> 'policy_version')::int,
           asked ->> 'policy_digest', asked ->> 'policy_reason', (asked ->> 'amount')::numeric,
           (approval ->> 'requested_at')::timestamptz, :due_at, (approval ->> 'expires_at')::timestamptz
      from numbers, jsonb_array_elements(:approvals) as asked, jsonb_extract_path(asked, 'approval') as approval
), forgotten as (
    delete from holdfast.graph_checkpoints
     where tenant = :tenant and conversation = :conversation and turn = :turn
       and (step <> :step or :snapshot::bytea is null) and exists (select from numbers)
), kept as (
    insert into holdfast.graph_checkpoints as checkpoint
        (tenant, conversation, turn, step, snapshot)
    select :tenant, :conversation, :turn, :step, :snapshot from numbers where :snapshot::bytea is not null
    on conflict (tenant, conversation, turn, step) do update
       set snapshot = excluded.snapshot, updated_at = now()
)
select reply_seq from committed
