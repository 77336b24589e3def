-- The approvals that somebody wants to see, those whose next deadline is nearest first, a thousand at most.
:approvals
 where approval.tenant = :tenant and (:state::text is null or approval.state = :state)
   and (:conversation::text is null or approval.conversation = :conversation)
   and (cardinality(:roles::text[]) = 0 or approval.roles ?| :roles)
   and (:reviewer::text is null or (claimed_by = :reviewer and claimed_until > now())
        or approval.approval -> 'delegations'
           @> jsonb_build_array(jsonb_build_object('to', :reviewer::text)))
   and (:agent::text is null or approval.agent = :agent)
   and (:at_least::numeric is null or approval.amount >= :at_least)
   and (not :overdue or (approval.approval -> 'alarms')::int > 0)
 order by approval.due_at, approval.id limit 1000
