-- What is held counts so long from now, at most to its end; it needs nobody who gives it back.
-- Only entries have an end: what else is held is given back.
CREATE FUNCTION ledger_retain(
    p_id uuid, p_account text, p_for interval, p_expiry interval, p_now timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    now_at CONSTANT timestamptz := ledger_open(p_account, p_expiry, p_now);
    r ledger_reservations;
BEGIN
    DELETE FROM ledger_reservations WHERE id = p_id RETURNING * INTO r;
    IF FOUND AND NOT r.returned THEN
        PERFORM ledger_shift(
            r.windows, r.ends, ARRAY(SELECT -a FROM unnest(r.amounts) AS a), now_at
        );
        PERFORM ledger_shift(
            r.windows,
            ARRAY(
                SELECT least(c.ends, now_at + p_for)
                FROM unnest(r.ends) WITH ORDINALITY AS c (ends, n) ORDER BY c.n
            ),
            ARRAY(
                SELECT CASE WHEN c.ends < 'infinity' THEN c.amount ELSE 0 END
                FROM unnest(r.ends, r.amounts) WITH ORDINALITY AS c (ends, amount, n)
                ORDER BY c.n
            ),
            now_at
        );
    END IF;
END $$;
