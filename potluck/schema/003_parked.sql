-- Runs that wait for quota, one for each thread: when they go on, and with which context.
CREATE TABLE parked_runs (
    thread_id text PRIMARY KEY,
    run_id text NOT NULL,
    resume_at timestamptz NOT NULL,
    since timestamptz NOT NULL,
    reason text NOT NULL,
    waiting_for text[] NOT NULL,
    known_models text[] NOT NULL,
    context jsonb NOT NULL,
    recursion_limit integer,
    times integer NOT NULL
);

CREATE INDEX parked_runs_by_time ON parked_runs (resume_at);
