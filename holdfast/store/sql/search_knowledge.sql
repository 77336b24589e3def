-- Passages that have the words of :query, the best first.
with asked as materialized (
    select word from unnest(tsvector_to_array(to_tsvector('english', :query))) as word
), known as materialized (
    select word, chunks, sum(chunks) over (order by chunks, word) as chunks_so_far
    from holdfast.knowledge_words
    where tenant = :tenant and word = any ((select array_agg(word) from asked)::text[])
    order by chunks, word
    limit :most_words
), sought as materialized (
    select array_agg(word) as words,
        string_agg(array_to_tsvector(array[word])::text, ' | ')::tsquery as query,
        least((select count(*) from asked), :most_words) as number
    from known
), found as materialized (
    select chunk.document, chunk.ordinal, chunk.heading, chunk.body, chunk.search
    from holdfast.knowledge_chunks as chunk
    where holdfast.words_of_chunk(chunk.tenant, chunk.search) && (
        select array_agg(:tenant || '/' || word) from known
        where chunks_so_far <= :candidates or chunks_so_far = chunks
    )
    limit :candidates
), likely as materialized (
    select found.*, sought.* from found, sought
    order by ts_rank(found.search, sought.query, 32 | 1) desc, found.document, found.ordinal
    limit :ranked
)
select likely.document, article.title, likely.heading, likely.body,
    -- 32 maps the rank to 0..1; 1 keeps long sections from winning by their length.
    ts_rank_cd(likely.search, likely.query, 32 | 1) * (
        select count(*) from unnest(tsvector_to_array(likely.search)) as word
        where word = any (likely.words)
    ) / likely.number as rank
from likely
join holdfast.knowledge_documents as article
    on article.tenant = :tenant and article.id = likely.document
order by rank desc, likely.document, likely.ordinal
limit :limit
