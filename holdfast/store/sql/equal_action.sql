-- The latest of the :recent actions with one of these :spellings of its arguments.
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
  from :recent as action
  left join holdfast.executions as execution
    on execution.tenant = :tenant and execution.action = action.id
 where (action.arguments = any(:spellings) or action.proposed = any(:spellings))
   and (:besides::text is null or action.approval is distinct from :besides)
   and (action.state <> 'failed' or execution.subject is not null)
 order by action.created_at desc, action.id desc limit 1
