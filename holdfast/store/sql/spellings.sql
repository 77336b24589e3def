-- The arguments of the latest actions of :customer with this :name that wait, or were done :within this time, as they are and as they were proposed.
select arguments, proposed
  from (select * from holdfast.actions
         where tenant = :tenant and customer = :customer and state = 'proposed'
        union all
        select * from holdfast.actions
         where tenant = :tenant and customer = :customer and state in ('executed', 'failed')
           and updated_at > now() - :within::interval) as action
 where name = :name
 order by created_at desc limit :limit
