"""The table of kept responses in PostgreSQL, shared by replicas."""

import json
from collections.abc import Sequence

from psycopg.types.json import Json as AsJson

from potluck.pool import Pool
from potluck.server.openai.responses.kept import Exchange, Json, Kept

_PUT = """
INSERT INTO responses AS held (id, tenant, previous_id, conversation, thread, thread_id, status,
                               created_at, used_at, worked_at, body, input, said, item_ids)
VALUES (%s, %s, %s, %s, %s, %s, %s, to_timestamp(%s), now(), now(), %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, worked_at = now(), body = excluded.body, said = excluded.said,
    item_ids = excluded.item_ids
WHERE held.status <> 'cancelled' AND NOT held.is_deleted
"""
_FIND = """
SELECT tenant, body, input, thread, thread_id, worked_at, previous_id FROM responses
WHERE id = %s AND tenant = %s AND NOT is_deleted
"""
# Reading counts as use, so that no conversation loses its beginning while it goes on.
_LINEAGE = """
WITH RECURSIVE line AS (
    SELECT id, previous_id, 0 AS back FROM responses
    WHERE id = %(id)s AND tenant = %(tenant)s AND NOT is_deleted
    UNION ALL
    SELECT older.id, older.previous_id, back + 1
    FROM line JOIN responses AS older ON older.id = line.previous_id AND older.tenant = %(tenant)s
), used AS (
    UPDATE responses SET used_at = now() FROM line WHERE responses.id = line.id
    RETURNING responses.id, thread, input, said, status, back
)
SELECT id, thread, input, said, status FROM used ORDER BY back DESC
"""
_LATEST = """
SELECT id FROM responses WHERE tenant = %s AND conversation = %s AND NOT is_deleted
ORDER BY number DESC LIMIT 1
"""
_ITEMS = """
SELECT input, said FROM responses
WHERE item_ids && %s::text[] AND tenant = %s AND NOT is_deleted
"""
_HIDE = """
UPDATE responses SET is_deleted = true, body = '{}' WHERE id = %s AND tenant = %s AND NOT is_deleted
"""
_CLEAR = """
DELETE FROM responses AS gone
WHERE is_deleted AND tenant = %s
    AND NOT EXISTS (SELECT FROM responses AS later WHERE later.previous_id = gone.id)
"""
_WORK = """
UPDATE responses SET worked_at = now() WHERE id = %s AND NOT is_deleted RETURNING status
"""


class KeptTable:
    """Keeps responses in the table `responses`, as `Shelf` says. May raise psycopg.Error."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, kept: Kept) -> None:
        """As `Shelf` says."""
        values = (
            kept.id,
            kept.tenant,
            kept.previous_id,
            kept.conversation,
            kept.thread,
            kept.thread_id,
            kept.status,
            kept.body["created_at"],
            _json(kept.body),
            _json(kept.input),
            _json(kept.said),
            kept.item_ids,
        )
        async with self._pool.connection() as connection:
            await connection.execute(_PUT, values)

    async def find(self, tenant: str, response_id: str) -> Kept | None:
        """As `Shelf` says."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_FIND, (response_id, tenant))).fetchone()
        return None if row is None else Kept(*row)

    async def lineage(self, tenant: str, response_id: str) -> list[Exchange]:
        """As `Shelf` says."""
        asked = {"id": response_id, "tenant": tenant}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_LINEAGE, asked)).fetchall()
        return [Exchange(*row) for row in rows]

    async def latest_in(self, tenant: str, conversation: str) -> str | None:
        """As `Shelf` says."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_LATEST, (tenant, conversation))).fetchone()
        return None if row is None else str(row[0])

    async def items(self, tenant: str, ids: Sequence[str]) -> dict[str, Json]:
        """As `Shelf` says."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_ITEMS, (list(ids), tenant))).fetchall()
        wanted = set(ids)
        return {
            str(item["id"]): item
            for asked, said in rows
            for item in (*asked, *said)
            if item.get("id") in wanted
        }

    async def delete(self, tenant: str, response_id: str) -> bool:
        """As `Shelf` says."""
        async with self._pool.connection() as connection:
            hidden = await connection.execute(_HIDE, (response_id, tenant))
            if not hidden.rowcount:
                return False
            # Each round may free the one before it in its line.
            while (await connection.execute(_CLEAR, (tenant,))).rowcount:
                pass
        return True

    async def note_work(self, response_id: str) -> str | None:
        """As `Shelf` says."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_WORK, (response_id,))).fetchone()
        return None if row is None else str(row[0])


def _json(value: object) -> AsJson:
    return AsJson(value, dumps=_dumped)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
