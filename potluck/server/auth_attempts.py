"""Whoever tries keys is slowed down: of wrong ones only some a minute are looked at."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from potluck.server.auth_rates import Buckets

WRONG_KEYS_PER_MINUTE = 20
MOST_ADDRESSES = 10_000
MOST_KEYS = 1_000
"""Keys of one address that are remembered as right."""
_IPV6_SITE_BITS = 64


class Attempts:
    """Knows, of each address, how many wrong keys came from it and which right ones.

    Above the rate every key from there that was not right before is refused unseen: whether it is
    right cannot be found out. Keys in use there go on to work. Of this process alone.
    """

    def __init__(
        self,
        wrong_per_minute: int = WRONG_KEYS_PER_MINUTE,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = wrong_per_minute
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def look(self, address: str, digest: bytes, *, is_right: bool) -> int:
        """0 when the key may be looked at, else after how many seconds one may.

        A wrong one counts.
        """
        known = self._of(site_of(address))
        if is_right and digest in known.right:
            return 0
        wait_s = known.wrong.count("")
        if not wait_s and is_right:
            known.wrong.give_back("")
            known.remember(digest)
        return wait_s

    def _of(self, site: str) -> "_Address":
        found = self._addresses.get(site)
        if found is None:
            found = self._addresses[site] = _Address(Buckets(self._most, clock=self._clock))
            if len(self._addresses) > MOST_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(site)
        return found


class _Address:
    """What has come from one address."""

    def __init__(self, wrong: Buckets) -> None:
        self.wrong = wrong
        self.right: OrderedDict[bytes, None] = OrderedDict()

    def remember(self, digest: bytes) -> None:
        self.right[digest] = None
        if len(self.right) > MOST_KEYS:
            self.right.popitem(last=False)


def site_of(address: str) -> str:
    """What one person can hardly have many of: an IPv4 address, or a network of IPv6."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((found, _IPV6_SITE_BITS), strict=False))
