"""The terms on which servers hold runs and take over those of others."""

HEARTBEAT_S = 2.0
LOOK_EVERY_S = 1.0
# Its process has gone, or the database has just come back: two heartbeats
DEAD_AFTER_S = 4.0
# The process is there and says nothing: its machine hangs, or the way to it is cut
SILENT_AFTER_S = 20.0
# A run that nobody was told of: the server died in between, or Redis has forgotten it
LOST_AFTER_S = 3
LEASE_S = 60
BEAT_TIMEOUT_S = 5.0
PRESENCE_LOCK = 1_886_351_987
"""The first key of the locks by which servers show that they are there."""

AEGRA_SETTINGS = {
    "LEASE_DURATION_SECONDS": str(LEASE_S),
    "HEARTBEAT_INTERVAL_SECONDS": str(int(HEARTBEAT_S)),
    "REAPER_INTERVAL_SECONDS": str(int(LOOK_EVERY_S)),
    "WORKER_COUNT": "2",
    # What waits for a model or for quota holds its place
    "N_JOBS_PER_WORKER": "100",
    "WORKER_DRAIN_TIMEOUT": "10",
    # A run keeps to limits of its own; this also bounds how long a caller may wait for one
    "BG_JOB_TIMEOUT_SECS": "86400",
    # Three servers, with our own connections, keep within the hundred of PostgreSQL's default
    "SQLALCHEMY_POOL_SIZE": "8",
    "SQLALCHEMY_MAX_OVERFLOW": "4",
    "LANGGRAPH_MIN_POOL_SIZE": "1",
    "LANGGRAPH_MAX_POOL_SIZE": "8",
}
