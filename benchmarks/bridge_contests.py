"""The contests of the bridge benchmark: what a server adds to a call, and how many it can carry."""

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bridge_load import Load, Seen
from benchmarks.bridge_processes import MODEL, Clients, Peak, Server
from benchmarks.bridge_simulator import PACED

MANY = 32
type Measured = dict[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """How many questions are asked, by one client and by many, in so many rounds."""

    rounds: int
    alone: int
    crowd: int
    agent: int
    streams: int


class Contest:
    """Asks the upstream and the servers in turns, so that a busy machine is busy for all."""

    def __init__(self, clients: Clients, upstream: str, size: Size) -> None:
        self._clients = clients
        self._upstream = f"{upstream}/box/v1/chat/completions"
        self._size = size
        self._names = map(str, itertools.count())

    def pass_through(self, servers: Mapping[str, Server]) -> dict[str, dict[str, Measured]]:
        """By server and kind of call: what it adds, and how many calls a second it carries."""
        found: dict[str, dict[str, Measured]] = {name: {} for name in servers}
        for stream, crowd in itertools.product((False, True), (1, MANY)):
            kind = f"{'streamed' if stream else 'plain'}, {crowd} client{'s' * (crowd > 1)}"
            count = self._size.alone if crowd == 1 else self._size.crowd
            direct = Seen()
            seen = {name: Seen() for name in servers}
            used_s = dict.fromkeys(servers, 0.0)
            for _ in range(self._size.rounds):
                _join(direct, self._play(self._upstream, "box", crowd, count, stream=stream))
                for name, server in servers.items():
                    before_s = server.cpu_s
                    got = self._play(server.chat_url, MODEL, crowd, count, stream=stream)
                    used_s[name] += server.cpu_s - before_s
                    _join(seen[name], got)
            for name, one in seen.items():
                found[name][kind] = {
                    **_added(one, direct),
                    "cpu_ms": used_s[name] * 1000 / (count * self._size.rounds),
                    "upstream_per_s": len(direct.took_ms) / direct.lasted_s,
                }
        return found

    def agent(self, server: Server) -> Measured:
        """What the agent adds until its first word is there, and until its last."""
        count = self._size.agent
        direct = self._play(self._upstream, "box", 1, count, stream=True)
        agent = self._play(server.chat_url, "potluck", 1, count, stream=True)
        return _added(agent, direct)

    def crowd_of_streams(self, server: Server) -> Measured:
        """Many runs of the agent at once, over an upstream that writes at a model's pace."""
        load = self._load(
            server.chat_url, "potluck", self._size.streams, self._size.streams, stream=True
        )
        before_mb = server.memory_mb
        with Peak(server) as peak:
            seen = self._clients.play(load)
        return {
            "streams": self._size.streams,
            "failed": len(seen.failures),
            "chunks_per_s": seen.pieces / seen.lasted_s,
            "lasted_s": seen.lasted_s,
            "first_p50_ms": _percentile(seen.first_ms, 50),
            "added_mb": peak.memory_mb - before_mb,
            "peak_mb": peak.memory_mb,
        }

    def _play(self, url: str, model: str, clients: int, count: int, *, stream: bool) -> Seen:
        return self._clients.play(self._load(url, model, clients, count, stream=stream))

    def _load(self, url: str, model: str, clients: int, count: int, *, stream: bool) -> Load:
        paced = PACED if model == "potluck" and clients > 1 else ""
        question = f"{paced}Tell me about the harbour of Genoa."
        return Load(
            url, model, clients, count, stream=stream, question=question, name=next(self._names)
        )


def _join(whole: Seen, part: Seen) -> None:
    whole.took_ms += part.took_ms
    whole.first_ms += part.first_ms
    whole.failures += part.failures
    whole.pieces += part.pieces
    whole.lasted_s += part.lasted_s


def _added(seen: Seen, direct: Seen) -> Measured:
    return {
        "added_p50_ms": _percentile(seen.took_ms, 50) - _percentile(direct.took_ms, 50),
        "added_p99_ms": _percentile(seen.took_ms, 99) - _percentile(direct.took_ms, 99),
        "first_p50_ms": _percentile(seen.first_ms, 50) - _percentile(direct.first_ms, 50),
        "per_s": len(seen.took_ms) / seen.lasted_s,
        "failed": len(seen.failures),
    }


def _percentile(times_ms: list[float], percent: int) -> float:
    if len(times_ms) < 2:
        return float("nan")
    return statistics.quantiles(times_ms, n=100, method="inclusive")[percent - 1]
