"""The core's tables: conversations, checkpoints, model calls, actions, approvals, audit, knowledge."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = [
    """
    create table holdfast.conversations (
        tenant text not null,
        id text not null,
        customer text not null,
        status text not null default 'open',
        agent text,
        priority text not null default 'normal',
        language text not null default 'en',
        held_by text,
        turns int not null default 0,
        last_message int not null default 0,
        last_event int not null default 0,
        summary text not null default '',
        summarized_through int not null default 0,
        forked_from text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        closed_at timestamptz,
        primary key (tenant, id)
    )
    """,
    """
    create table holdfast.turns (
        tenant text not null,
        conversation text not null,
        turn int not null,
        message_id text not null,
        message_digest text not null,
        status text not null default 'running',
        agent text,
        result jsonb,
        reply_seq int,
        error text,
        started_at timestamptz not null default now(),
        ended_at timestamptz,
        primary key (tenant, conversation, turn),
        unique (tenant, conversation, message_id)
    )
    """,
    """
    create table holdfast.steps (
        tenant text not null,
        conversation text not null,
        turn int not null,
        step int not null,
        thread int not null,
        subgraph text not null,
        run text not null,
        attempt int not null,
        outcome jsonb,
        started_at timestamptz not null default now(),
        committed_at timestamptz,
        primary key (tenant, conversation, turn, step)
    )
    """,
    """
    create table holdfast.messages (
        tenant text not null,
        conversation text not null,
        seq int not null,
        turn int not null,
        role text not null,
        author text,
        text text not null,
        citations jsonb not null default '[]',
        degraded boolean not null default false,
        request_id text,
        created_at timestamptz not null default now(),
        primary key (tenant, conversation, seq),
        unique (tenant, conversation, request_id)
    )
    """,
    """
    create table holdfast.events (
        tenant text not null,
        conversation text not null,
        seq int not null,
        type text not null,
        turn int,
        data jsonb not null,
        created_at timestamptz not null default now(),
        primary key (tenant, conversation, seq)
    )
    """,
    """
    create table holdfast.graph_checkpoints (
        tenant text not null,
        conversation text not null,
        turn int not null,
        step int not null,
        snapshot bytea not null,
        updated_at timestamptz not null default now(),
        primary key (tenant, conversation, turn, step)
    )
    """,
    """
    create table holdfast.llm_calls (
        tenant text not null,
        conversation text not null,
        turn int not null,
        thread int not null,
        step int not null,
        node text not null,
        request_digest text not null,
        occurrence int not null,
        provider text not null,
        model text not null,
        response jsonb not null,
        prompt_tokens int not null,
        completion_tokens int not null,
        price numeric(12, 6) not null,
        latency_ms int not null,
        degraded boolean not null,
        request bytea,
        created_at timestamptz not null default now(),
        primary key (tenant, conversation, turn, thread, node, request_digest, occurrence)
    )
    """,
    "create index on holdfast.llm_calls (created_at) where request is not null",
    """
    create table holdfast.actions (
        tenant text not null,
        id text not null,
        conversation text not null,
        turn int not null,
        step int not null,
        index int not null,
        name text not null,
        arguments jsonb not null,
        facts jsonb not null default '{}',
        verdict text not null,
        state text not null,
        approval text,
        result jsonb,
        error text,
        reviewer text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        primary key (tenant, id),
        unique (tenant, conversation, turn, step, index)
    )
    """,
    """
    create table holdfast.executions (
        tenant text not null,
        action text not null,
        idempotency_key text not null,
        state text not null,
        result jsonb,
        error text,
        started_at timestamptz not null default now(),
        ended_at timestamptz,
        compensated_at timestamptz,
        primary key (tenant, action),
        foreign key (tenant, action) references holdfast.actions
    )
    """,
    """
    create table holdfast.approvals (
        tenant text not null,
        id text not null,
        conversation text not null,
        turn int not null,
        step int not null,
        state text not null default 'pending',
        roles jsonb not null,
        agent text not null,
        requester text not null,
        reason text not null,
        evidence jsonb not null,
        args_digest text not null,
        policy_name text not null,
        policy_version int not null,
        policy_reason text,
        requested_at timestamptz not null,
        expires_at timestamptz not null,
        decided_at timestamptz,
        consumed_at timestamptz,
        primary key (tenant, id)
    )
    """,
    "create index on holdfast.approvals (tenant, expires_at) where state = 'pending'",
    """
    create table holdfast.decisions (
        tenant text not null,
        approval text not null,
        id text not null,
        kind text not null,
        reviewer text not null,
        roles jsonb not null,
        digest text not null,
        text text not null,
        actions jsonb not null,
        refusal text,
        decided_at timestamptz not null,
        primary key (tenant, approval, id),
        foreign key (tenant, approval) references holdfast.approvals
    )
    """,
    """
    create table holdfast.audit (
        tenant text not null,
        seq bigint not null,
        at timestamptz not null,
        kind text not null,
        conversation text not null,
        subject text not null,
        data jsonb not null,
        previous_hash text not null,
        hash text not null,
        primary key (tenant, seq)
    )
    """,
    """
    create table holdfast.audit_heads (
        tenant text primary key,
        seq bigint not null,
        hash text not null
    )
    """,
    """
    create table holdfast.knowledge_documents (
        tenant text not null,
        id text not null,
        title text not null,
        body text not null,
        language text not null default 'en',
        digest text not null,
        updated_at timestamptz not null default now(),
        primary key (tenant, id)
    )
    """,
    """
    create table holdfast.knowledge_chunks (
        tenant text not null,
        document text not null,
        ordinal int not null,
        heading text not null,
        body text not null,
        search tsvector not null generated always as (
            setweight(to_tsvector('english', heading), 'A')
            || setweight(to_tsvector('english', body), 'B')
        ) stored,
        primary key (tenant, document, ordinal),
        foreign key (tenant, document) references holdfast.knowledge_documents on delete cascade
    )
    """,
    "create index on holdfast.knowledge_chunks using gin (search)",
]


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
