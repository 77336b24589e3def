-- Approvals as reviewers see them, with their actions and decisions.
select approval.*, conversation.customer,
       coalesce((select text from holdfast.messages as message
                  where message.tenant = approval.tenant
                    and message.conversation = approval.conversation
                    and message.turn = approval.turn and role = 'customer'
                  order by seq limit 1), '') as question,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'id', id, 'name', name, 'arguments', arguments, 'facts', facts, 'state', state,
                   'description', description)
                   order by index), '[]')
          from holdfast.actions
         where tenant = approval.tenant and approval = approval.id) as actions,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'id', id, 'kind', kind, 'reviewer', reviewer, 'team', team, 'roles', roles,
                   'digest', digest, 'text', text, 'delegate', delegate, 'refusal', refusal,
                   'at', decided_at, 'actions', actions) order by decided_at, ordinal), '[]')
          from holdfast.decisions
         where tenant = approval.tenant and approval = approval.id) as decisions
  from holdfast.approvals as approval
  join holdfast.conversations as conversation
    on conversation.tenant = approval.tenant and conversation.id = approval.conversation
