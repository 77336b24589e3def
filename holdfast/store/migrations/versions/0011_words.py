"""Words of help-centre articles: how many passages of a tenant have each, and an index by tenant and word;
and whether the price of a model call is known."""

from alembic import op

revision = "0011"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        """
        create table holdfast.knowledge_words (
            tenant text not null,
            word text not null,
            chunks int not null,
            primary key (tenant, word)
        )
        """
    )
    op.execute(
        """
        insert into holdfast.knowledge_words (tenant, word, chunks)
        select tenant, word, count(*)
          from holdfast.knowledge_chunks, unnest(tsvector_to_array(search)) as word
         group by tenant, word
        """
    )
    # What it costs keeps the planner from calling it for every row instead of using the index.
    op.execute(
        """
        create function holdfast.words_of_chunk(tenant text, search tsvector) returns text[]
        language sql immutable parallel safe cost 10000
        return (
            select coalesce(array_agg(tenant || '/' || word), '{}')
              from unnest(tsvector_to_array(search)) as word
        )
        """
    )
    op.execute(
        """
        create index knowledge_chunks_words
            on holdfast.knowledge_chunks using gin (holdfast.words_of_chunk(tenant, search))
        """
    )
    op.execute("alter table holdfast.llm_calls add column priced boolean not null default true")
    # The version before this one finds a tenant's passages by their key instead, more slowly.
    op.execute("drop index holdfast.knowledge_chunks_search_idx")
