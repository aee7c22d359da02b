-- Limits that a provider called used up, and until when: no replica need hear it again, nor a
-- server that was started again. An empty model: all models of the key, an empty key: all keys.
CREATE TABLE outages (
    provider text NOT NULL,
    model text NOT NULL,
    key_id text NOT NULL,
    kind text NOT NULL,
    scope text NOT NULL,
    message text NOT NULL,
    status integer,
    until timestamptz NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (provider, model, key_id)
);
