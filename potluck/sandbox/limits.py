"""What model-written code may use up; every number is for one sandbox."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Time, memory, processes, disk and output of one cell or command and what it leaves behind."""

    default_timeout_s: float = 60.0
    max_timeout_s: float = 300.0
    start_timeout_s: float = 30.0
    settle_timeout_s: float = 2.0
    memory_bytes: int = 1024 * MIB
    """All processes of a sandbox together."""
    processes: int = 128
    """Threads count, too; numpy alone starts one for each processor."""
    open_files: int = 512
    disk_bytes: int = 1024 * MIB
    """The workspace; a single file cannot grow beyond it either."""
    files: int = 20_000
    free_disk_bytes: int = 512 * MIB
    """What must stay free on the workspace's disk."""
    scratch_bytes: int = 256 * MIB
    """The sandbox's folder for temporary files, in memory; shared memory has as much again."""
    kept_chars: int = 2_000_000
    flood_bytes: int = 200_000_000
    """Whoever writes more than this is stopped."""
    message_bytes: int = 32 * MIB
    """One output message of a kernel: a larger one cuts its line to us."""
    images: int = 8
    image_bytes: int = 4_000_000

    @property
    def address_space_bytes(self) -> int:
        """For one process: libraries reserve far more than they touch."""
        return 2 * self.memory_bytes + 1024 * MIB

    def timeout_s(self, asked_s: float | None) -> float:
        """The time to allow when so much is asked for."""
        if not asked_s or asked_s <= 0:
            return self.default_timeout_s
        return min(asked_s, self.max_timeout_s)
