"""Shares: how much of a bounded thing is taken, in all and by each address, so that nobody takes it whole."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

NETWORK_BITS_V6 = 64  # of an IPv6 address: one customer's network counts as one address


class Caller(NamedTuple):
    """Who asks: the address that is counted, and which connection of all."""

    address: str
    connection: int = 0


class Full(Exception):
    """There is no more of it: `own` says whether the address has its share, else all of it is taken."""

    def __init__(self, own: bool, limit: int) -> None:
        self.own = own
        self.limit = limit
        super().__init__(f"{limit} are taken{' by one address' if own else ''}")


class Shares:
    """`total` of a thing, of which one address takes at most `percent`, but `least` in any case."""

    def __init__(self, total: int, percent: int, least: int = 1) -> None:
        self._total = max(total, least)
        self._each = max(least, total * percent // 100)
        self._taken = 0
        self._by_address: dict[str, int] = {}

    def take(self, address: str, amount: int = 1) -> None:
        """Take so much for an address. Raises Full, and then nothing is taken."""
        held = self._by_address.get(address, 0)
        if self._taken + amount > self._total:
            raise Full(False, self._total)
        if held + amount > self._each:
            raise Full(True, self._each)
        self._taken += amount
        self._by_address[address] = held + amount

    def give_back(self, address: str, amount: int = 1) -> None:
        """Return what was taken; an address that holds nothing is forgotten."""
        self._taken -= amount
        held = self._by_address.pop(address, 0) - amount
        if held > 0:
            self._by_address[address] = held

    @contextmanager
    def taken(self, address: str, amount: int = 1) -> Iterator[None]:
        """Have so much while the block lasts. Raises Full."""
        self.take(address, amount)
        try:
            yield
        finally:
            self.give_back(address, amount)


def counted_as(host: str) -> str:
    """The address by which a caller is counted: its own, or the network of an IPv6 one."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, NETWORK_BITS_V6), strict=False).network_address)
    return str(address)
