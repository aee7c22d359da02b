-- A call that came to its provider long after its room was taken counts from now on: its amounts
-- move to the slots that a use of now ends in. Of a window that refills, no less is used than calls
-- under way hold: what has flowed back before they came has not at the provider.

CREATE FUNCTION ledger_renew(
    p_id uuid, p_account text, p_expiry interval, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
    r ledger_reservations;
    slots timestamptz[];
BEGIN
    SELECT * INTO r FROM ledger_reservations WHERE id = p_id AND NOT returned;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM ledger_expire(r.windows, now_at);
    SELECT array_agg(
        CASE
            WHEN w.id IS NULL THEN c.ends
            ELSE ledger_ends(w.period, w.reset, w.guard, now_at)
        END ORDER BY c.n
    )
    INTO slots
    FROM unnest(r.windows, r.ends) WITH ORDINALITY AS c (id, ends, n)
    LEFT JOIN ledger_windows AS w ON w.id = c.id;
    PERFORM ledger_shift(r.windows, r.ends, ARRAY(SELECT -a FROM unnest(r.amounts) AS a), now_at);
    PERFORM ledger_shift(r.windows, slots, r.amounts, now_at);
    UPDATE ledger_windows AS w
    SET used = greatest(ledger_level(w.reset, w.rate, w.used, w.at, now_at), o.amount), at = now_at
    FROM (
        SELECT c.id, sum(c.amount) AS amount
        FROM ledger_reservations AS u CROSS JOIN unnest(u.windows, u.amounts) AS c (id, amount)
        WHERE u.account = p_account AND NOT u.returned AND c.id = ANY (r.windows)
        GROUP BY c.id
    ) AS o
    WHERE w.id = o.id AND w.reset = 'refill';
    UPDATE ledger_reservations SET ends = slots WHERE id = p_id;
END $$;
