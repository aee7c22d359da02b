-- When the bucket of each key's requests is full again; after a crash all are full.
CREATE UNLOGGED TABLE request_buckets (
    key text PRIMARY KEY,
    full_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Count one request of a key that may make so many in a minute: 0, or the seconds to wait.
CREATE FUNCTION take_request(p_key text, p_per_minute integer) RETURNS double precision
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    step CONSTANT interval := interval '1 minute' / p_per_minute;
    now_at timestamptz;
    full_then timestamptz;
    wait interval;
BEGIN
    INSERT INTO request_buckets VALUES (p_key, '-infinity') ON CONFLICT DO NOTHING;
    SELECT full_at INTO full_then FROM request_buckets WHERE key = p_key FOR UPDATE;
    -- After the lock: whoever waited for it is not to be counted in the past
    now_at := clock_timestamp();
    full_then := greatest(full_then, now_at) + step;
    wait := full_then - now_at - interval '1 minute';
    IF wait > interval '1 microsecond' THEN
        RETURN extract(epoch FROM wait);
    END IF;
    UPDATE request_buckets SET full_at = full_then WHERE key = p_key;
    RETURN 0;
END $$;
