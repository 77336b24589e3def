-- What an agent of :conversation has to know: what waits for its customer, what was done in this conversation, and
-- within a day in others; the newest ten of each, oldest first. A value, and a part of other statements.
(with customers as (
    select customer from holdfast.conversations where tenant = :tenant and id = :conversation
), one as (
    (select * from holdfast.actions
      where tenant = :tenant and customer = (select customer from customers) and state = 'proposed'
      order by created_at desc limit 10)
    union all
    (select * from holdfast.actions
      where tenant = :tenant and conversation = :conversation and state in ('executed', 'failed')
      order by turn desc, step desc, index desc limit 10)
    union all
    (select * from holdfast.actions
      where tenant = :tenant and customer = (select customer from customers)
        and conversation <> :conversation and state in ('executed', 'failed')
        and updated_at > now() - interval '1 day'
      order by updated_at desc limit 10)
)
select jsonb_agg(jsonb_build_object(
           'id', one.id, 'conversation', one.conversation, 'turn', one.turn, 'name', one.name,
           'title', coalesce(one.description ->> 'title',
                             replace(initcap(left(one.name, 1)) || substr(one.name, 2), '_', ' ')),
           'arguments', one.arguments, 'state', one.state, 'approval', one.approval,
           'at', one.updated_at,
           'execution', execution.state, 'remote', execution.subject is not null)
           order by one.updated_at, one.id)
  from one
  left join holdfast.executions as execution
    on execution.tenant = :tenant and execution.action = one.id)
