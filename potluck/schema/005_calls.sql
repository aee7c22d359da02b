-- Every call to a model, kept for some days; `writer` and `number` make writing a batch twice harmless.
CREATE TABLE calls (
    writer uuid NOT NULL,
    number bigint NOT NULL,
    at timestamptz NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    key_id text NOT NULL,
    tenant text NOT NULL,
    task_type text NOT NULL,
    priority text NOT NULL,
    outcome text NOT NULL,
    error text,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_usd double precision,
    first_token_s real,
    duration_s real NOT NULL,
    parts integer NOT NULL,
    PRIMARY KEY (writer, number)
);

CREATE INDEX calls_at ON calls (at);

-- Their sums for each day (UTC), which outlive them.
CREATE TABLE call_days (
    day date NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    tenant text NOT NULL,
    task_type text NOT NULL,
    outcome text NOT NULL,
    calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_usd double precision NOT NULL,
    unpriced bigint NOT NULL,
    duration_s double precision NOT NULL,
    batches bigint NOT NULL,
    batched_steps bigint NOT NULL,
    PRIMARY KEY (day, provider, model, tenant, task_type, outcome)
);
