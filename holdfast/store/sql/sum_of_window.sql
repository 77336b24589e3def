-- The sum of the number at :path (from the facts of the execution, once it was begun) over the actions of these names that count in a window of time.
select coalesce(sum(case when jsonb_typeof(value) = 'number' then value::numeric end), 0)
  from (
    select jsonb_build_object(
               'args', arguments,
               'facts', coalesce((select execution.facts from holdfast.executions as execution
                                   where execution.tenant = :tenant
                                     and execution.action = action.id), facts)
           ) #> :path as value
      from (
        select * from holdfast.actions as done
         where tenant = :tenant and name = any(:actions) and state in ('executed', 'failed')
           and updated_at > now() - :within::interval
           and (state = 'executed' or exists (
                   select from holdfast.executions as execution
                    where execution.tenant = :tenant and execution.action = done.id
                      and execution.subject is not null))
        union all
        select * from holdfast.actions as open
         where tenant = :tenant and name = any(:actions) and state = 'proposed'
           and (:before::timestamptz is null or created_at < :before
                or (conversation, turn, step) = (:conversation, :turn, :step) and index < :index
                or exists (select from holdfast.executions as execution
                            where execution.tenant = :tenant and execution.action = open.id))
      ) as action
      join holdfast.conversations as conversation
        on conversation.tenant = action.tenant and conversation.id = action.conversation
     where (:customer::text is null or conversation.customer = :customer)
       and (:without_approval::text is null or action.approval is distinct from :without_approval)
  ) as amounts
