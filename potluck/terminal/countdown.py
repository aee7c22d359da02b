"""A line that counts the time until a parked run goes on."""

from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.status import Status
from rich.text import Text

LEAVE = "Ctrl-C leaves, the work goes on by itself"


def _now() -> datetime:
    return datetime.now(UTC)


class Countdown:
    """Counts on a terminal; elsewhere it says once when the run goes on."""

    def __init__(self, console: Console, clock: Callable[[], datetime] = _now) -> None:
        self._console = console
        self._clock = clock
        self._status: Status | None = None
        self.is_on = False

    def start(self, resume_at: datetime) -> None:
        """Begin to count."""
        self.stop()
        self.is_on = True
        left = Left(resume_at, self._clock)
        if not self._console.is_terminal:
            self._console.print(left.__rich__(), soft_wrap=True)
            return
        self._status = self._console.status(left)
        self._status.start()

    def stop(self) -> None:
        """Take the line away."""
        self.is_on = False
        if self._status is not None:
            self._status.stop()
            self._status = None


class Left:
    """The line, as of the moment at which it is drawn."""

    def __init__(self, resume_at: datetime, clock: Callable[[], datetime] = _now) -> None:
        self._resume_at = resume_at
        self._clock = clock

    def __rich__(self) -> Text:
        """The line as rich prints it."""
        left_s = max(0, round((self._resume_at - self._clock()).total_seconds()))
        local = self._resume_at.astimezone()
        is_today = local.date() == self._clock().astimezone().date()
        at = f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"
        return Text(f"goes on at {at}, in {_span(left_s)}; {LEAVE}", style="dim")


def _span(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
