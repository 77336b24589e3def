-- The arguments of the latest :recent actions, as they are and as they were proposed.
select arguments, proposed from :recent as action
 order by created_at desc limit :limit
