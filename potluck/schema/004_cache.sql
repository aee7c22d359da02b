-- Answers that may be given again. Unlogged: a write costs next to nothing, and after a crash of
-- PostgreSQL the table is empty, which a cache may be.
CREATE UNLOGGED TABLE cached_answers (
    key bytea PRIMARY KEY,
    value bytea NOT NULL,
    size integer NOT NULL, -- bytes, with an allowance for the row
    at timestamptz NOT NULL,
    used_at timestamptz NOT NULL,
    given text[] NOT NULL -- marks of those who have had it, latest last
) WITH (fillfactor = 80); -- room for `used_at` to change in place
