-- The messages under way of a deployment and what its workers can do; those that are over are taken out.
with ended as (
    delete from holdfast.admissions as one
     where scope = :scope
       and (one.admitted_at < now() - :forgotten_after::interval
            or exists (
                   select from holdfast.turns as turn
                    where (turn.tenant, turn.conversation, turn.message_id)
                        = (one.tenant, one.conversation, one.message_id)
                      and (turn.ended_at is not null or turn.status <> 'running')))
    returning tenant, conversation, message_id
), left_over as (
    select tenant, count(*) as messages
      from holdfast.admissions
     where scope = :scope
       and (tenant, conversation, message_id) not in (select * from ended)
     group by tenant
)
select coalesce((select jsonb_object_agg(tenant, messages) from left_over), '{}')
           as by_tenant,
       (select nullif(sum(capacity), 0) from holdfast.workers
         where scope = :scope and left_at is null and seen_at > now() - :alive_for::interval)
           as capacity
