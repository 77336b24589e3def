-- Claims a step for an attempt, and reads what it needs. With a :message_id, its turn begins.
with new_turn as (
    insert into holdfast.turns (tenant, conversation, turn, message_id, message_digest)
    select :tenant, :conversation, :turn, :message_id, :message_digest
     where :message_id::text is not null
    on conflict do nothing
    returning turn
), numbers as (
    update holdfast.conversations
       set last_message = last_message + 1, last_event = last_event + 1, updated_at = now(),
           turns = greatest(turns, :turn)
     where tenant = :tenant and id = :conversation and exists (select from new_turn)
    returning last_message, last_event
), received as (
    insert into holdfast.messages (tenant, conversation, seq, turn, role, author, text)
    select :tenant, :conversation, last_message, :turn, 'customer', :author, :text from numbers
), announced as (
    insert into holdfast.events (tenant, conversation, seq, type, turn, data)
    select :tenant, :conversation, last_event, 'message_received', :turn,
           :received::jsonb || jsonb_build_object('message', last_message)
      from numbers
), first_turn as (
    select turn, message_digest, result, reply_seq
      from holdfast.turns
     where tenant = :tenant and conversation = :conversation and message_id = :message_id
       and turn <> :turn
), open_turn as (
    select turn from holdfast.turns
     where tenant = :tenant and conversation = :conversation and turn = :turn and ended_at is null
       for share
), claimed as (
    insert into holdfast.steps as step
        (tenant, conversation, turn, step, thread, run, attempt, subgraph, standing)
    select :tenant, :conversation, :turn, :step, :thread, :run, :attempt, :subgraph,
           case when :step::int = :thread::int then :standing end
     where not exists (select from first_turn)
       and (exists (select from new_turn) or exists (select from open_turn))
    on conflict (tenant, conversation, turn, step) do update
       set run = excluded.run, attempt = excluded.attempt, started_at = now()
     where step.outcome is null and (step.run <> excluded.run or step.attempt <= excluded.attempt)
    returning standing
)
select conversation.customer, conversation.language, conversation.summary,
       conversation.priority, conversation.created_at,
       exists (select from claimed) as claimed,
       committed.outcome, committed.reply_seq,
       (select to_jsonb(first_turn) from first_turn) as repeated,
       (select jsonb_agg(line order by (line ->> 'seq')::int) from (
            select jsonb_build_object('seq', seq, 'turn', turn, 'role', role, 'text', text) as line
              from holdfast.messages
             where tenant = :tenant and conversation = :conversation
               and seq > conversation.summarized_through
               and role <> 'notice'
             order by seq desc limit :limit) as lines) as transcript,
       (select jsonb_agg(to_jsonb(call) - 'request') from holdfast.llm_calls as call
         where tenant = :tenant and conversation = :conversation and turn = :turn and thread = :thread) as calls,
       (select jsonb_build_object('calls', count(*), 'dollars', coalesce(sum(price), 0))
          from holdfast.llm_calls
         where tenant = :tenant and conversation = :conversation and turn = :turn and thread <> :thread)
           as spent_elsewhere,
       kept.snapshot, kept.step = :step as own_snapshot,
       coalesce((select standing from claimed),
                (select standing from holdfast.steps
                  where tenant = :tenant and conversation = :conversation and turn = :turn and step = :thread)) as standing,
       (select jsonb_agg(jsonb_build_object(
                'id', id, 'name', name, 'arguments', arguments, 'state', state,
                'result', result, 'error', error, 'reviewer', reviewer) order by index)
          from holdfast.actions
         where tenant = :tenant and conversation = :conversation and turn = :turn and step = :step - 1) as results
  from holdfast.conversations as conversation
  left join holdfast.steps as committed
    on committed.tenant = :tenant and committed.conversation = :conversation and committed.turn = :turn
   and committed.step = :step and committed.outcome ->> 'kind' <> 'discarded'
  left join lateral (
        select snapshot, step from holdfast.graph_checkpoints
         where tenant = :tenant and conversation = :conversation and turn = :turn and step between :thread and :step
         order by step desc limit 1) as kept on true
 where conversation.tenant = :tenant and conversation.id = :conversation
