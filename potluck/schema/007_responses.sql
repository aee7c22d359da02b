-- Answers of the Responses API that can be asked for, and led on from, later.
CREATE TABLE responses (
    id text PRIMARY KEY,
    tenant text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    previous_id text,
    conversation text,
    thread text NOT NULL, -- what its thread is called; empty: it has none
    thread_id text, -- and its id
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL, -- when something last led on from it
    worked_at timestamptz NOT NULL, -- when whoever makes it was last seen at work
    is_deleted boolean NOT NULL DEFAULT false, -- gone for its owner; what leads on from it needs it
    body json NOT NULL, -- as text: nothing looks inside
    input json NOT NULL,
    said json NOT NULL, -- of the output, what later answers need to know
    item_ids text[] NOT NULL
) WITH (fillfactor = 90);

CREATE INDEX responses_by_use ON responses (used_at);
CREATE INDEX responses_by_previous ON responses (previous_id) WHERE previous_id IS NOT NULL;
CREATE INDEX responses_by_conversation ON responses (tenant, conversation, number)
    WHERE conversation IS NOT NULL;
CREATE INDEX responses_by_item ON responses USING gin (item_ids);
