-- What providers' answers taught of their limits, by window; and how far estimates are off.

CREATE TABLE learned_limits (
    id text PRIMARY KEY,
    account text NOT NULL,
    model text, -- null: of the whole account
    unit text NOT NULL,
    period text NOT NULL,
    reset text NOT NULL,
    max_use double precision NOT NULL,
    remaining double precision,
    origin text NOT NULL CHECK (origin IN ('header', 'text', 'guess')),
    source text NOT NULL,
    since timestamptz NOT NULL,
    confirmed_at timestamptz NOT NULL,
    expires_at timestamptz
);

-- Ratios of what calls used to what was estimated, as natural logarithms.
CREATE TABLE estimate_corrections (
    ref text PRIMARY KEY,
    calls bigint NOT NULL,
    input_mean double precision NOT NULL,
    input_deviation double precision NOT NULL,
    output_calls bigint NOT NULL,
    output_mean double precision NOT NULL,
    output_deviation double precision NOT NULL,
    noted_at timestamptz NOT NULL
);
