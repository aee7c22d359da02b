"""deploy/haproxy.cfg before real servers: streams, servers that go and come, its own end."""

import json
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest

from potluck.server.auth_attempts import WRONG_KEYS_PER_MINUTE
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer
from tests.integration.deploy.conftest import TIMEOUT_S, Balancer, port_of, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

# Wrong keys of one address that are looked at, and some more
WRONG_KEYS = WRONG_KEYS_PER_MINUTE + 5


def tale(words: int, letter: str = "w") -> str:
    """No word twice: what is missing, doubled or another's is seen."""
    return " ".join(f"{letter}{number}" for number in range(words))


def question(text: str, *, stream: bool = False) -> dict[str, object]:
    return {"model": "potluck", "messages": [{"role": "user", "content": text}], "stream": stream}


def words_of(response: httpx.Response) -> Iterator[str]:
    """What a streamed answer says, piece by piece; raises when it breaks off."""
    for line in response.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            for choice in json.loads(line[6:])["choices"]:
                if choice["delta"].get("content"):
                    yield choice["delta"]["content"]
    raise httpx.RemoteProtocolError("the answer has no end")


class Stream(threading.Thread):
    """One streamed chat; `pieces` with the time of each, `error` when it broke off."""

    def __init__(self, balancer: Balancer, text: str) -> None:
        super().__init__(daemon=True)
        self._balancer = balancer
        self._text = text
        self.pieces: list[tuple[float, str]] = []
        self.error: Exception | None = None

    def run(self) -> None:
        body = question(self._text, stream=True)
        try:
            with (
                self._balancer.client() as client,
                client.stream("POST", "/v1/chat/completions", json=body) as response,
            ):
                response.raise_for_status()
                for piece in words_of(response):
                    self.pieces.append((time.monotonic(), piece))
        except httpx.HTTPError as error:
            self.error = error

    @property
    def text(self) -> str:
        return "".join(piece for _, piece in self.pieces)

    def begun(self) -> "Stream":
        self.start()
        wait_until(lambda: bool(self.pieces) or self.error is not None, "nothing was said")
        assert self.error is None, self.error
        return self


def test_an_answer_is_passed_on_as_it_is_said(
    both: list[PotluckServer], balancer: Balancer, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text=tale(40), delay=Delay(per_chunk_s=0.05)))
    stream = Stream(balancer, "Tell").begun()
    stream.join(TIMEOUT_S)
    assert stream.error is None
    assert stream.text == tale(40)
    times = [at for at, _ in stream.pieces]
    # Two seconds of words, and never half a second of silence
    assert times[-1] - times[0] > 1.5
    assert max(later - sooner for sooner, later in pairwise(times)) < 0.5


def test_what_was_made_at_one_server_is_there_at_the_other(
    both: list[PotluckServer], balancer: Balancer, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text="Noted."))
    chat = {"X-Chat-Id": str(uuid.uuid4())}
    with balancer.client() as client:
        said = client.post("/v1/chat/completions", json=question("Note this"), headers=chat)
        thread_id = said.headers["x-potluck-thread-id"]
        for server in both:
            state = httpx.get(
                f"http://127.0.0.1:{port_of(server)}/threads/{thread_id}/state",
                headers=dict(client.headers),
            )
            messages = state.json()["values"]["messages"]
            assert [one["content"] for one in messages] == ["Note this", "Noted."]


def test_metrics_are_asked_of_each_server(balancer: Balancer) -> None:
    with balancer.client() as client:
        refused = client.get("/metrics")
    assert (refused.status_code, refused.text) == (404, "Ask each server for its metrics.\n")


def test_its_own_end_lets_an_answer_end(
    both: list[PotluckServer], balancer: Balancer, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text=tale(40), delay=Delay(per_chunk_s=0.05)))
    stream = Stream(balancer, "Tell").begun()
    balancer.process.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{balancer.url}/balancer")
    stream.join(TIMEOUT_S)
    assert stream.error is None
    assert stream.text == tale(40)
    assert balancer.process.wait(TIMEOUT_S) == 0


def test_a_restart_of_one_after_the_other_loses_no_request(
    both: list[PotluckServer], balancer: Balancer, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text="Here.", delay=Delay(first_byte_s=0.3)))
    over = threading.Event()
    failed: list[str] = []
    answered = [0, 0, 0]

    def keep_asking(place: int) -> None:
        with balancer.client() as client:
            while not over.is_set():
                try:
                    body = question(f"Who is {place} {answered[place]}?")
                    answer = client.post("/v1/chat/completions", json=body)
                    if answer.status_code != 200:
                        failed.append(f"{answer.status_code} {answer.text}")
                except httpx.HTTPError as error:
                    failed.append(repr(error))
                answered[place] += 1

    askers = [threading.Thread(target=keep_asking, args=(place,)) for place in range(3)]
    for asker in askers:
        asker.start()
    for server in both:
        assert server.stop() == 0
        server.start()
        wait_until(lambda: balancer.ready_servers() == len(both), "a server is not back")
    over.set()
    for asker in askers:
        asker.join(TIMEOUT_S)
    assert failed == []
    assert min(answered) > 3


def test_a_killed_server_takes_only_its_own_streams_with_it(
    both: list[PotluckServer], balancer: Balancer, simulator: SimulatorServer
) -> None:
    for letter in "ab":
        told = Reply(text=tale(60, letter), delay=Delay(per_chunk_s=0.05))
        simulator.script.on(told, text=f"Tell {letter}")
    simulator.script.on(Reply(text="Still here."))
    # The one with the fewest open requests is asked: one stream each
    streams = {letter: Stream(balancer, f"Tell {letter}").begun() for letter in "ab"}
    both[0].kill()
    with balancer.client() as client:
        # At once, while the balancer still holds it for ready: a refused POST goes elsewhere
        for number in range(10):
            answer = client.post("/v1/chat/completions", json=question(f"Who is {number}?"))
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == "Still here."
    for stream in streams.values():
        stream.join(TIMEOUT_S)
    [whole] = [letter for letter, stream in streams.items() if stream.error is None]
    # The killed one may have made it for the other: it is then begun anew, below what was said
    *begun, last = streams[whole].text.split("\n\n")
    assert last == tale(60, whole)
    assert all(last.startswith(piece) for piece in begun)


def test_who_asks_is_told_by_the_balancer_alone(
    both: list[PotluckServer], balancer: Balancer
) -> None:
    """Whoever tries keys does not get past the limit by making up addresses."""
    with httpx.Client(base_url=balancer.url, timeout=TIMEOUT_S) as client:
        for number in range(WRONG_KEYS * len(both)):
            headers = {"X-Forwarded-For": f"203.0.113.{number}", "X-Api-Key": f"wrong-{number}"}
            answer = client.get("/v1/models", headers=headers)
    assert answer.status_code == 429


def test_without_any_server_it_says_so_itself(
    pair: list[PotluckServer], balancer: Balancer
) -> None:
    for server in pair:
        server.kill()
    wait_until(
        lambda: httpx.get(f"{balancer.url}/balancer").status_code == 503,
        "the balancer does not notice",
    )
