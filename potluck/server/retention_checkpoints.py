"""One thread's past, thinned: its last checkpoints stay, and the first, from which forks begin."""

from collections.abc import Sequence

from psycopg import AsyncConnection

_READ = """
SELECT checkpoint_ns, checkpoint_id, metadata -> 'parents' ->> '' FROM public.checkpoints
WHERE thread_id = %s ORDER BY checkpoint_ns, checkpoint_id DESC
"""
_WRITES = """
DELETE FROM public.checkpoint_writes
WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = ANY(%s)
"""
_CHECKPOINTS = """
DELETE FROM public.checkpoints
WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = ANY(%s)
"""
_PARENTS = """
UPDATE public.checkpoints SET parent_checkpoint_id = NULL
WHERE thread_id = %s AND checkpoint_ns = %s AND parent_checkpoint_id = ANY(%s)
"""
# A checkpoint names the version of each channel, which may be much older than itself
_BLOBS = """
WITH used AS MATERIALIZED (
    SELECT DISTINCT v.key AS channel, v.value AS version
    FROM public.checkpoints AS c
    CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') AS v
    WHERE c.thread_id = %(thread)s AND c.checkpoint_ns = %(ns)s
)
DELETE FROM public.checkpoint_blobs
WHERE thread_id = %(thread)s AND checkpoint_ns = %(ns)s
    AND (channel, version) NOT IN (SELECT channel, version FROM used)
"""


async def thin(
    connection: AsyncConnection, thread_id: str, most: int, oldest: str, *, dry: bool
) -> tuple[int, int]:
    """Delete what is older than the id `oldest` or beyond the number; both counts.

    The newest checkpoint always stays. To be called with the thread locked, in a transaction.
    """
    rows = await (await connection.execute(_READ, [thread_id])).fetchall()
    spaces: dict[str, list[tuple[str, str | None]]] = {}
    for namespace, checkpoint_id, root in rows:
        spaces.setdefault(namespace, []).append((checkpoint_id, root))
    old = beyond = 0
    roots: set[str] = set()
    for namespace, found in spaces.items():
        # The root graph's own come first: its name is empty
        due_old, due_beyond = _due([one for one, _ in found], most, oldest)
        if _is_call_of(namespace, found, roots):
            due_old, due_beyond = [one for one, _ in found], []
        if namespace == "":
            roots.update(due_old, due_beyond)
        old, beyond = old + len(due_old), beyond + len(due_beyond)
        if not dry and (due := [*due_old, *due_beyond]):
            await _delete(connection, thread_id, namespace, due)
    return old, beyond


def _due(ids: Sequence[str], most: int, oldest: str) -> tuple[list[str], list[str]]:
    """Of one graph's checkpoints, newest first: those too old, and those beyond the number."""
    newest, *others = ids
    old = [one for one in others if one < oldest]
    first = others[-1] if others and not old else newest
    beyond = [one for one in others[most - 1 :] if one >= oldest and one != first]
    return old, beyond


def _is_call_of(namespace: str, found: Sequence[tuple[str, str | None]], roots: set[str]) -> bool:
    """Whether it is one call of a subgraph, begun from a checkpoint that goes."""
    return ":" in namespace and found[0][1] in roots


async def _delete(
    connection: AsyncConnection, thread_id: str, namespace: str, ids: Sequence[str]
) -> None:
    values = (thread_id, namespace, list(ids))
    await connection.execute(_WRITES, values)
    await connection.execute(_CHECKPOINTS, values)
    await connection.execute(_PARENTS, values)
    await connection.execute(_BLOBS, {"thread": thread_id, "ns": namespace})
