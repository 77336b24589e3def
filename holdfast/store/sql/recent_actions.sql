-- The actions of :customer with this :name that wait, or were done :within this time. A part of other statements.
(select * from holdfast.actions
  where tenant = :tenant and customer = :customer and name = :name and state = 'proposed'
 union all
 select * from holdfast.actions
  where tenant = :tenant and customer = :customer and name = :name and state in ('executed', 'failed')
    and updated_at > now() - :within::interval)
