"""Luck that does not depend on who asks first: the same moment of a task, the same dice."""

import hashlib
import random
import threading
from collections import Counter

from potluck.evaluation.situation import Situation
from potluck.simulator.request import ModelRequest


class Luck:
    """Dice for each moment of each task; a moment that comes again has new ones."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def dice(self, request: ModelRequest, situation: Situation) -> tuple[random.Random, int]:
        """The dice of this moment, and how often it was there before."""
        moment = "|".join(
            (
                situation.task.id,
                str(situation.steps),
                str(situation.judging),
                str(len(situation.results)),
                str(request.tool_choice not in {"auto", "none"}),
            )
        )
        with self._lock:
            times = self._seen[moment]
            self._seen[moment] += 1
        digest = hashlib.sha256(f"{self._seed}|{moment}|{times}".encode()).digest()
        return random.Random(digest), times  # noqa: S311 # luck in a game, not a secret

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._seen.clear()
