-- The quota ledger. Use is kept by window, in one of three ways (ledger_windows.reset):
--   refill           `used` is a level at `at` that sinks by `rate` a second;
--   call             `used` is what calls under way hold;
--   rolling, a zone  `used` is the sum of the window's rows in ledger_entries.
-- Functions that write take the lock of one account, and read the time under it. They allow only
-- plans that go by index, row by row: without statistics, as while the tables are new, PostgreSQL
-- takes a window's entries for few and reads them all.

CREATE TABLE ledger_windows (
    id text PRIMARY KEY,
    account text NOT NULL,
    period text NOT NULL,
    reset text NOT NULL,
    rate double precision NOT NULL,
    guard double precision NOT NULL,
    used double precision NOT NULL DEFAULT 0,
    at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX ledger_windows_account ON ledger_windows (account);

-- An amount counts until it ends; amounts that end together are one row.
CREATE TABLE ledger_entries (
    window_id text NOT NULL,
    ends timestamptz NOT NULL,
    amount double precision NOT NULL,
    PRIMARY KEY (window_id, ends)
) WITH (fillfactor = 70);

-- What calls under way hold. Given back unasked (`returned`), it is kept for a late settlement.
CREATE TABLE ledger_reservations (
    id uuid PRIMARY KEY,
    holder uuid NOT NULL,
    account text NOT NULL,
    at timestamptz NOT NULL,
    returned boolean NOT NULL DEFAULT false,
    windows text[] NOT NULL,
    ends timestamptz[] NOT NULL,
    amounts double precision[] NOT NULL
);
CREATE INDEX ledger_reservations_open ON ledger_reservations (account, at) WHERE NOT returned;
CREATE INDEX ledger_reservations_returned ON ledger_reservations (at) WHERE returned;

-- Processes that hold reservations, by the database's own clock.
CREATE TABLE ledger_holders (
    id uuid PRIMARY KEY,
    alive_until timestamptz NOT NULL
);


CREATE FUNCTION ledger_ends(
    p_period text, p_reset text, p_guard double precision, p_at timestamptz
) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
    epoch CONSTANT timestamptz := '1970-01-01 00:00:00+00';
    local_end timestamp;
    ends timestamptz;
BEGIN
    IF p_reset IN ('refill', 'call') THEN
        RETURN 'infinity';
    END IF;
    IF p_reset = 'rolling' THEN
        RETURN make_interval(secs => p_guard) + CASE p_period
            WHEN 'minute' THEN p_at + interval '1 minute'
            WHEN 'hour' THEN p_at + interval '1 hour'
            WHEN 'day' THEN date_bin('1 minute', p_at, epoch) + interval '24 hours 1 minute'
            ELSE date_bin('30 minutes', p_at, epoch) + interval '720 hours 30 minutes'
        END;
    END IF;
    IF p_period IN ('minute', 'hour') THEN
        RETURN date_trunc(p_period, p_at, p_reset) + ('1 ' || p_period)::interval;
    END IF;
    local_end := date_trunc(p_period, p_at AT TIME ZONE p_reset) + ('1 ' || p_period)::interval;
    ends := local_end AT TIME ZONE p_reset;
    -- Where clocks go back over midnight, the first of the two midnights counts.
    IF (ends - interval '1 hour') AT TIME ZONE p_reset = local_end THEN
        RETURN ends - interval '1 hour';
    END IF;
    RETURN ends;
END $$;


CREATE FUNCTION ledger_level(
    p_reset text, p_rate double precision, p_used double precision,
    p_at timestamptz, p_now timestamptz
) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_reset = 'refill' AND p_now > p_at
        THEN greatest(0, p_used - p_rate * extract(epoch FROM p_now - p_at)::double precision)
        ELSE coalesce(p_used, 0)
    END
$$;


-- How long so much takes to flow back.
CREATE FUNCTION ledger_flow(p_amount double precision, p_rate double precision) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_rate > 0 THEN ceil(p_amount / p_rate * 1e6) * interval '1 microsecond'
        ELSE interval '0'
    END
$$;


-- Add amounts, which may be negative, to windows that are there, in the slots that end so.
CREATE FUNCTION ledger_shift(
    p_windows text[], p_ends timestamptz[], p_amounts double precision[], p_now timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF 0 < ANY (p_amounts) THEN
        INSERT INTO ledger_entries AS e (window_id, ends, amount)
        SELECT c.id, c.ends, c.amount
        FROM unnest(p_windows, p_ends, p_amounts) AS c (id, ends, amount)
        WHERE c.ends > p_now AND c.ends < 'infinity' AND c.amount > 0
        ON CONFLICT (window_id, ends) DO UPDATE SET amount = e.amount + excluded.amount;
    END IF;
    IF 0 > ANY (p_amounts) THEN
        UPDATE ledger_entries AS e SET amount = greatest(0, e.amount + c.amount)
        FROM unnest(p_windows, p_ends, p_amounts) AS c (id, ends, amount)
        WHERE e.window_id = c.id AND e.ends = c.ends AND c.ends > p_now AND c.amount < 0;

        DELETE FROM ledger_entries AS e
        USING unnest(p_windows, p_ends, p_amounts) AS c (id, ends, amount)
        WHERE e.window_id = c.id AND e.ends = c.ends AND c.amount < 0 AND e.amount <= 1e-9;
    END IF;

    UPDATE ledger_windows AS w
    SET used = greatest(0, ledger_level(w.reset, w.rate, w.used, w.at, p_now) + c.amount),
        at = p_now
    FROM unnest(p_windows, p_ends, p_amounts) AS c (id, ends, amount)
    WHERE w.id = c.id AND c.ends > p_now;
END $$;


-- Delete entries that have ended.
CREATE FUNCTION ledger_expire(p_windows text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH ended AS (
        DELETE FROM ledger_entries WHERE window_id = ANY (p_windows) AND ends <= p_now
        RETURNING window_id, amount
    ), sums AS (
        SELECT window_id, sum(amount) AS amount FROM ended GROUP BY window_id
    )
    UPDATE ledger_windows AS w SET used = greatest(0, w.used - sums.amount), at = p_now
    FROM sums WHERE w.id = sums.window_id;
END $$;


-- The clock went back: what is later than now is moved to now, and what ended stays so.
CREATE FUNCTION ledger_rewind(p_account text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    w ledger_windows;
    last timestamptz;
BEGIN
    FOR w IN SELECT * FROM ledger_windows WHERE account = p_account AND at > p_now LOOP
        last := ledger_ends(w.period, w.reset, w.guard, p_now);
        PERFORM ledger_expire(ARRAY[w.id], w.at);
        WITH late AS (
            DELETE FROM ledger_entries WHERE window_id = w.id AND ends > last RETURNING amount
        )
        INSERT INTO ledger_entries AS e (window_id, ends, amount)
        SELECT w.id, last, sum(amount) FROM late HAVING count(*) > 0
        ON CONFLICT (window_id, ends) DO UPDATE SET amount = e.amount + excluded.amount;
        UPDATE ledger_reservations
        SET ends[array_position(windows, w.id)] = CASE
            WHEN ends[array_position(windows, w.id)] <= w.at THEN '-infinity' ELSE last
        END
        WHERE account = p_account AND (
            ends[array_position(windows, w.id)] <= w.at
            OR ends[array_position(windows, w.id)] > last
        );
        UPDATE ledger_windows SET at = p_now WHERE id = w.id;
    END LOOP;
    UPDATE ledger_reservations SET at = p_now WHERE account = p_account AND at > p_now;
END $$;


-- Give back what processes hold that died or forgot it.
CREATE FUNCTION ledger_reclaim(p_account text, p_expiry interval, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    dead CONSTANT uuid[] := ARRAY(
        SELECT id FROM ledger_holders WHERE alive_until <= clock_timestamp()
    );
    r ledger_reservations;
BEGIN
    IF dead = '{}' AND NOT EXISTS (
        SELECT FROM ledger_reservations
        WHERE account = p_account AND NOT returned AND at <= p_now - p_expiry
    ) THEN
        RETURN;
    END IF;
    FOR r IN
        UPDATE ledger_reservations SET returned = true, at = p_now
        WHERE account = p_account AND NOT returned
            AND (at <= p_now - p_expiry OR holder = ANY (dead))
        RETURNING *
    LOOP
        PERFORM ledger_shift(
            r.windows, r.ends, ARRAY(SELECT -a FROM unnest(r.amounts) AS a), p_now
        );
    END LOOP;
END $$;


-- Lock the account, and say what time it is.
CREATE FUNCTION ledger_open(p_account text, p_expiry interval, p_now timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    now_at timestamptz;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true),
        pg_advisory_xact_lock(hashtextextended(p_account, 0));
    now_at := coalesce(p_now, clock_timestamp());
    IF EXISTS (SELECT FROM ledger_windows WHERE account = p_account AND at > now_at) THEN
        PERFORM ledger_rewind(p_account, now_at);
    END IF;
    PERFORM ledger_reclaim(p_account, p_expiry, now_at);
    RETURN now_at;
END $$;


-- This process lives. Deletes what has no use any more, and tells how many processes live.
CREATE FUNCTION ledger_beat(p_holder uuid, p_lease interval, p_now timestamptz) RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    now_at CONSTANT timestamptz := coalesce(p_now, clock_timestamp());
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO ledger_holders AS h (id, alive_until)
    VALUES (p_holder, clock_timestamp() + p_lease)
    ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until;

    DELETE FROM ledger_reservations WHERE id IN (
        SELECT id FROM ledger_reservations
        WHERE returned AND at < now_at - interval '1 day' LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    DELETE FROM ledger_holders AS h WHERE id IN (
        SELECT id FROM ledger_holders
        WHERE alive_until <= clock_timestamp() FOR UPDATE SKIP LOCKED
    ) AND NOT EXISTS (SELECT FROM ledger_reservations WHERE holder = h.id AND NOT returned);
    WITH unused AS (
        DELETE FROM ledger_windows
        WHERE at < now_at - interval '62 days'
            AND pg_try_advisory_xact_lock(hashtextextended(account, 0))
        RETURNING id
    )
    DELETE FROM ledger_entries USING unused WHERE window_id = unused.id;
    RETURN (SELECT count(*) FROM ledger_holders WHERE alive_until > clock_timestamp());
END $$;


-- How each window stands.
CREATE FUNCTION ledger_state(
    p_windows text[], p_periods text[], p_resets text[], p_rates double precision[],
    p_now timestamptz,
    OUT used double precision[], OUT free_at timestamptz[], OUT resets_at timestamptz[]
)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT array_agg(u.used ORDER BY c.n),
        array_agg(
            CASE
                WHEN u.used <= 1e-9 THEN NULL
                WHEN c.reset = 'call' THEN p_now + interval '1 second'
                WHEN c.reset = 'refill' THEN p_now + ledger_flow(least(1, u.used), c.rate)
                ELSE (
                    SELECT e.ends FROM ledger_entries AS e
                    WHERE e.window_id = c.id AND e.ends > p_now AND e.amount > 1e-9
                    ORDER BY e.window_id, e.ends LIMIT 1
                )
            END ORDER BY c.n
        ),
        array_agg(
            CASE
                WHEN c.reset = 'call' THEN NULL
                WHEN c.reset = 'refill' AND u.used <= 1e-9 THEN NULL
                WHEN c.reset = 'refill' THEN p_now + ledger_flow(u.used, c.rate)
                ELSE coalesce(
                    (
                        SELECT e.ends FROM ledger_entries AS e
                        WHERE e.window_id = c.id AND e.ends > p_now AND e.amount > 1e-9
                        ORDER BY e.window_id DESC, e.ends DESC LIMIT 1
                    ),
                    CASE WHEN c.reset <> 'rolling' THEN ledger_ends(c.period, c.reset, 0, p_now) END
                )
            END ORDER BY c.n
        )
    INTO ledger_state.used, ledger_state.free_at, ledger_state.resets_at
    FROM unnest(p_windows, p_periods, p_resets, p_rates)
        WITH ORDINALITY AS c (id, period, reset, rate, n)
    LEFT JOIN ledger_windows AS w ON w.id = c.id
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN c.reset IN ('refill', 'call')
            THEN ledger_level(c.reset, c.rate, w.used, w.at, p_now)
            ELSE greatest(0, coalesce(w.used, 0) - coalesce((
                SELECT sum(e.amount) FROM ledger_entries AS e
                WHERE e.window_id = c.id AND e.ends <= p_now
            ), 0))
        END AS used
    ) AS u;
END $$;


-- Know the windows by their present properties; what is used stays.
CREATE FUNCTION ledger_know(
    p_account text, p_windows text[], p_periods text[], p_resets text[],
    p_rates double precision[], p_guards double precision[], p_now timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_windows AS w (id, account, period, reset, rate, guard, at)
    SELECT c.id, p_account, c.period, c.reset, c.rate, c.guard, p_now
    FROM unnest(p_windows, p_periods, p_resets, p_rates, p_guards)
        AS c (id, period, reset, rate, guard)
    ON CONFLICT (id) DO UPDATE
    SET account = excluded.account, period = excluded.period, reset = excluded.reset,
        rate = excluded.rate, guard = excluded.guard, at = excluded.at,
        used = ledger_level(w.reset, excluded.rate, w.used, w.at, excluded.at);
END $$;


-- When a refused amount has room in a window; null: never.
CREATE FUNCTION ledger_room_at(
    p_window text, p_reset text, p_rate double precision, p_limit double precision,
    p_amount double precision, p_used double precision, p_now timestamptz
) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    allowed CONSTANT double precision := p_limit + 1e-9 * greatest(1, p_limit);
BEGIN
    IF p_amount > allowed THEN
        RETURN NULL;
    ELSIF p_reset = 'call' THEN
        RETURN p_now + interval '1 second';
    ELSIF p_reset = 'refill' THEN
        RETURN p_now + ledger_flow(p_used + p_amount - p_limit, p_rate);
    END IF;
    RETURN coalesce(
        (
            SELECT e.ends
            FROM (
                SELECT ends, sum(amount) OVER (ORDER BY ends) AS ended
                FROM ledger_entries WHERE window_id = p_window
            ) AS e
            WHERE p_used - e.ended + p_amount <= allowed ORDER BY e.ends LIMIT 1
        ),
        (SELECT max(ends) FROM ledger_entries WHERE window_id = p_window),
        p_now
    );
END $$;


-- Take all windows or none. `is_full` is null when taken, else it tells which windows have no
-- room now, and `room_at` when they have.
CREATE FUNCTION ledger_reserve(
    p_id uuid, p_holder uuid, p_account text,
    p_windows text[], p_periods text[], p_resets text[], p_rates double precision[],
    p_guards double precision[], p_limits double precision[], p_amounts double precision[],
    p_lease interval, p_expiry interval, p_now timestamptz,
    OUT is_full boolean[], OUT room_at timestamptz[],
    OUT used double precision[], OUT free_at timestamptz[], OUT resets_at timestamptz[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
    are_known boolean;
    slots timestamptz[];
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger_holders
        WHERE id = p_holder AND alive_until > clock_timestamp() + p_lease / 2
    ) THEN
        PERFORM ledger_beat(p_holder, p_lease, p_now);
    END IF;
    PERFORM ledger_expire(p_windows, now_at);
    SELECT
        bool_and(
            w.account = p_account AND w.period = c.period AND w.reset = c.reset
                AND w.rate = c.rate AND w.guard = c.guard
        ) AND count(w.id) = cardinality(p_windows),
        array_agg(
            coalesce(ledger_level(c.reset, c.rate, w.used, w.at, now_at), 0) + c.amount
                > c.bound + 1e-9 * greatest(1, c.bound)
            ORDER BY c.n
        ),
        array_agg(ledger_ends(c.period, c.reset, c.guard, now_at) ORDER BY c.n)
    INTO are_known, is_full, slots
    FROM unnest(p_windows, p_periods, p_resets, p_rates, p_guards, p_limits, p_amounts)
        WITH ORDINALITY AS c (id, period, reset, rate, guard, bound, amount, n)
    LEFT JOIN ledger_windows AS w ON w.id = c.id;

    IF NOT true = ANY (is_full) THEN
        is_full := NULL;
        IF are_known IS NOT TRUE THEN
            PERFORM ledger_know(
                p_account, p_windows, p_periods, p_resets, p_rates, p_guards, now_at
            );
        END IF;
        PERFORM ledger_shift(p_windows, slots, p_amounts, now_at);
        INSERT INTO ledger_reservations (id, holder, account, at, windows, ends, amounts)
        VALUES (p_id, p_holder, p_account, now_at, p_windows, slots, p_amounts);
    END IF;
    SELECT s.used, s.free_at, s.resets_at
    INTO ledger_reserve.used, ledger_reserve.free_at, ledger_reserve.resets_at
    FROM ledger_state(p_windows, p_periods, p_resets, p_rates, now_at) AS s;
    IF is_full IS NOT NULL THEN
        room_at := ARRAY(
            SELECT CASE WHEN c.is_full THEN ledger_room_at(
                c.id, c.reset, c.rate, c.bound, c.amount, c.used, now_at
            ) END
            FROM unnest(p_windows, p_resets, p_rates, p_limits, p_amounts, is_full,
                    ledger_reserve.used)
                WITH ORDINALITY AS c (id, reset, rate, bound, amount, is_full, used, n)
            ORDER BY c.n
        );
    END IF;
END $$;


-- Replace what a reservation holds by what was used; null gives all of it back.
CREATE FUNCTION ledger_settle(
    p_id uuid, p_account text, p_used double precision[], p_expiry interval, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
    r ledger_reservations;
BEGIN
    DELETE FROM ledger_reservations WHERE id = p_id RETURNING * INTO r;
    IF FOUND THEN
        PERFORM ledger_shift(
            r.windows, r.ends,
            ARRAY(
                SELECT coalesce(c.used, 0) - CASE WHEN r.returned THEN 0 ELSE c.held END
                FROM unnest(r.amounts, p_used[:cardinality(r.amounts)])
                    WITH ORDINALITY AS c (held, used, n)
                ORDER BY c.n
            ),
            now_at
        );
    END IF;
END $$;


-- Give back a reservation of which nobody knows whether it was made; it cannot be made any more.
CREATE FUNCTION ledger_abandon(
    p_id uuid, p_holder uuid, p_account text, p_expiry interval, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
BEGIN
    PERFORM ledger_settle(p_id, p_account, NULL, p_expiry, now_at);
    INSERT INTO ledger_reservations (id, holder, account, at, returned, windows, ends, amounts)
    VALUES (p_id, p_holder, p_account, now_at, true, '{}', '{}', '{}');
END $$;


-- At least so much of a window is used.
CREATE FUNCTION ledger_note(
    p_account text, p_window text, p_period text, p_reset text, p_rate double precision,
    p_guard double precision, p_at_least double precision, p_expiry interval, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
    counted double precision;
BEGIN
    PERFORM ledger_expire(ARRAY[p_window], now_at);
    PERFORM ledger_know(
        p_account, ARRAY[p_window], ARRAY[p_period], ARRAY[p_reset], ARRAY[p_rate],
        ARRAY[p_guard], now_at
    );
    SELECT used INTO counted FROM ledger_windows WHERE id = p_window;
    IF counted < p_at_least THEN
        PERFORM ledger_shift(
            ARRAY[p_window], ARRAY[ledger_ends(p_period, p_reset, p_guard, now_at)],
            ARRAY[p_at_least - counted], now_at
        );
    END IF;
END $$;


-- How much of each window is used now; only what is overdue is written.
CREATE FUNCTION ledger_uses(
    p_windows text[], p_periods text[], p_resets text[], p_rates double precision[],
    p_expiry interval, p_now timestamptz,
    OUT used double precision[], OUT free_at timestamptz[], OUT resets_at timestamptz[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    now_at timestamptz := coalesce(p_now, clock_timestamp());
    overdue text;
BEGIN
    FOR overdue IN
        SELECT a.account
        FROM (SELECT DISTINCT account FROM ledger_windows WHERE id = ANY (p_windows)) AS a
        WHERE EXISTS (
            SELECT FROM ledger_windows AS w WHERE w.account = a.account AND w.at > now_at
        ) OR EXISTS (
            SELECT FROM ledger_reservations AS r
            WHERE r.account = a.account AND NOT r.returned AND (
                r.at <= now_at - p_expiry OR r.holder IN (
                    SELECT id FROM ledger_holders WHERE alive_until <= clock_timestamp()
                )
            )
        )
        -- Two that lock several accounts must do so in one order.
        ORDER BY hashtextextended(a.account, 0)
    LOOP
        PERFORM ledger_open(overdue, p_expiry, p_now);
    END LOOP;
    now_at := coalesce(p_now, clock_timestamp());
    SELECT s.used, s.free_at, s.resets_at
    INTO ledger_uses.used, ledger_uses.free_at, ledger_uses.resets_at
    FROM ledger_state(p_windows, p_periods, p_resets, p_rates, now_at) AS s;
END $$;


-- Write down calls that were admitted elsewhere while the database was out, once for each batch.
-- A call: {"id", "at", "open", "windows", "periods", "resets", "rates", "guards",
-- "amounts"}.
CREATE FUNCTION ledger_restore(
    p_batch uuid, p_holder uuid, p_account text, p_calls jsonb,
    p_lease interval, p_expiry interval, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
    call record;
    call_at timestamptz;
    slots timestamptz[];
    counted double precision[];
BEGIN
    INSERT INTO ledger_reservations (id, holder, account, at, returned, windows, ends, amounts)
    VALUES (p_batch, p_holder, p_account, now_at, true, '{}', '{}', '{}')
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM ledger_beat(p_holder, p_lease, p_now);
    FOR call IN
        SELECT * FROM jsonb_to_recordset(p_calls) AS c (
            id uuid, at timestamptz, open boolean, windows text[], periods text[], resets text[],
            rates double precision[], guards double precision[], amounts double precision[]
        )
    LOOP
        call_at := least(call.at, now_at);
        PERFORM ledger_know(
            p_account, call.windows, call.periods, call.resets, call.rates, call.guards, now_at
        );
        SELECT array_agg(ledger_ends(c.period, c.reset, c.guard, call_at) ORDER BY c.n),
            array_agg(
                ledger_level(c.reset, c.rate, c.amount, call_at, now_at) ORDER BY c.n
            )
        INTO slots, counted
        FROM unnest(call.periods, call.resets, call.rates, call.guards, call.amounts)
            WITH ORDINALITY AS c (period, reset, rate, guard, amount, n);
        PERFORM ledger_shift(call.windows, slots, counted, now_at);
        IF call.open THEN
            INSERT INTO ledger_reservations (id, holder, account, at, windows, ends, amounts)
            VALUES (call.id, p_holder, p_account, call_at, call.windows, slots, counted);
        END IF;
    END LOOP;
END $$;


-- The process leaves: give back all it holds.
CREATE FUNCTION ledger_leave(p_holder uuid, p_expiry interval, p_now timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    held text;
BEGIN
    UPDATE ledger_holders SET alive_until = '-infinity' WHERE id = p_holder;
    FOR held IN
        SELECT a.account
        FROM (
            SELECT DISTINCT account FROM ledger_reservations
            WHERE holder = p_holder AND NOT returned
        ) AS a
        ORDER BY hashtextextended(a.account, 0)
    LOOP
        PERFORM ledger_open(held, p_expiry, p_now);
    END LOOP;
    DELETE FROM ledger_holders WHERE id = p_holder;
END $$;
