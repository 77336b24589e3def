-- The latest action of :customer with this :name and one of these :spellings of its arguments that waits, or was done :within this time.
select action.*, execution.state as execution, execution.subject is not null as remote,
       action.state = 'executed' and exists (
           select from holdfast.actions as beside
            where beside.tenant = :tenant and beside.conversation = action.conversation
              and beside.turn = action.turn and beside.step = action.step
              and beside.state = 'proposed') as unfinished,
       exists (
           select from holdfast.actions as repeated
            where repeated.tenant = :tenant and repeated.conversation = :conversation
              and repeated.turn < :turn and repeated.state = 'repeated'
              and repeated.repeats = action.id) as told
  from (select * from holdfast.actions
         where tenant = :tenant and customer = :customer and state = 'proposed'
        union all
        select * from holdfast.actions
         where tenant = :tenant and customer = :customer and state in ('executed', 'failed')
           and updated_at > now() - :within::interval) as action
  left join holdfast.executions as execution
    on execution.tenant = :tenant and execution.action = action.id
 where action.name = :name and (action.arguments = any(:spellings) or action.proposed = any(:spellings))
   and (:besides::text is null or action.approval is distinct from :besides)
   and (action.state <> 'failed' or execution.subject is not null)
 order by action.created_at desc, action.id desc limit 1
