"""Who tries keys is slowed down, and nobody else."""

import pytest

from potluck.server import auth_attempts
from potluck.server.auth_attempts import Attempts, site_of


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def tried(attempts: Attempts, key: str, address: str = "10.0.0.1") -> int:
    """With how long a wait a key is met, of which only `good...` are right."""
    return attempts.look(address, key.encode(), is_right=key.startswith("good"))


def test_of_wrong_keys_only_some_a_minute_are_looked_at() -> None:
    clock = Clock()
    attempts = Attempts(6, clock=clock)
    assert [tried(attempts, f"wrong{n}") for n in range(8)] == [0] * 6 + [10, 10]
    clock.now_s = 10
    assert [tried(attempts, "wrong"), tried(attempts, "wrong")] == [0, 10]


def test_above_that_a_right_key_is_not_told_from_a_wrong_one() -> None:
    attempts = Attempts(3, clock=Clock())
    waits = [tried(attempts, f"wrong{n}") for n in range(4)]
    assert tried(attempts, "good") == waits[-1] > 0


def test_a_key_in_use_goes_on_to_work_from_its_own_address() -> None:
    attempts = Attempts(3, clock=Clock())
    assert tried(attempts, "good") == 0
    for number in range(10):
        tried(attempts, f"wrong{number}")
    assert tried(attempts, "good") == 0
    assert tried(attempts, "good too") > 0
    assert tried(attempts, "good too", "10.0.0.2") == 0


def test_right_keys_cost_nothing() -> None:
    attempts = Attempts(3, clock=Clock())
    assert not any(tried(attempts, f"good{number}") for number in range(100))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_attempts, "MOST_ADDRESSES", 10)
    monkeypatch.setattr(auth_attempts, "MOST_KEYS", 10)
    attempts = Attempts(3, clock=Clock())
    for number in range(50):
        tried(attempts, "wrong", f"10.0.0.{number}")
        tried(attempts, f"good{number}", "10.0.0.49")
    assert len(attempts._addresses) == 10
    assert len(attempts._addresses["10.0.0.49"].right) == 10


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_is_one_address(address: str, site: str) -> None:
    assert site_of(address) == site
