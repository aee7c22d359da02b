-- A refilling window whose rate has changed: what is used flowed back as before until now, and is
-- no more than the whole of what flows back in a period from now on. Else what was used of a large
-- limit would flow back at the rate of a small one.

CREATE FUNCTION ledger_flowed(
    p_reset text, p_period text, p_old_rate double precision, p_rate double precision,
    p_used double precision, p_at timestamptz, p_now timestamptz
) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_reset = 'refill' AND p_rate > 0 AND p_old_rate <> p_rate
        THEN least(
            ledger_level(p_reset, p_old_rate, p_used, p_at, p_now),
            p_rate * CASE p_period
                WHEN 'minute' THEN 60 WHEN 'hour' THEN 3600 WHEN 'day' THEN 86400 ELSE 2592000
            END
        )
        ELSE ledger_level(p_reset, p_rate, p_used, p_at, p_now)
    END
$$;


CREATE OR REPLACE FUNCTION ledger_state(
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
            THEN ledger_flowed(c.reset, c.period, w.rate, c.rate, w.used, w.at, p_now)
            ELSE greatest(0, coalesce(w.used, 0) - coalesce((
                SELECT sum(e.amount) FROM ledger_entries AS e
                WHERE e.window_id = c.id AND e.ends <= p_now
            ), 0))
        END AS used
    ) AS u;
END $$;


-- Know the windows by their present properties; what is used stays.
CREATE OR REPLACE FUNCTION ledger_know(
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
        used = ledger_flowed(
            w.reset, excluded.period, w.rate, excluded.rate, w.used, w.at, excluded.at
        );
END $$;


-- Take all windows or none. `is_full` is null when taken, else it tells which windows have no
-- room now, and `room_at` when they have.
CREATE OR REPLACE FUNCTION ledger_reserve(
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
            ledger_flowed(c.reset, c.period, w.rate, c.rate, w.used, w.at, now_at) + c.amount
                > c.bound + 1e-9 * greatest(1, c.bound)
            ORDER BY c.n
        ),
        array_agg(ledger_ends(c.period, c.reset, c.guard, now_at) ORDER BY c.n)
    INTO are_known, is_full, slots
    FROM unnest(p_windows, p_periods, p_resets, p_rates, p_guards, p_limits, p_amounts)
        WITH ORDINALITY AS c (id, period, reset, rate, guard, bound, amount, n)
    LEFT JOIN ledger_windows AS w ON w.id = c.id;

    IF are_known IS NOT TRUE THEN
        PERFORM ledger_know(
            p_account, p_windows, p_periods, p_resets, p_rates, p_guards, now_at
        );
    END IF;
    IF NOT true = ANY (is_full) THEN
        is_full := NULL;
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
