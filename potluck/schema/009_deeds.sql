-- Tool calls that change something, noted when they begin: one that was cut off is not made again.
CREATE TABLE deeds (
    run_id text NOT NULL,
    task_id text NOT NULL,
    thread_id text NOT NULL,
    attempt text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, task_id)
);

CREATE INDEX deeds_by_thread ON deeds (thread_id);
CREATE INDEX deeds_by_time ON deeds (begun_at);
