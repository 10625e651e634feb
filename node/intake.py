"""Transactions from peers that were not looked at yet: a line for each peer, and in it one for each signer.

Peers take turns by deficit round robin: a turn is so many bytes, to which every transaction adds what looking
at it costs. A peer whose transactions are refused is fined, and its turns are shorter until the fines are
forgotten. Whoever finds its line full pushes out the last of the signer who takes most of that same line, so
neither a peer nor a client of a peer can keep out what another brings.
"""

from collections import OrderedDict, deque

import trio

from ledger.transactions import first_signer
from node.limits import (
    FINES_HALVE_S,
    FINES_MAX,
    INTAKE_BYTES_OF_PEER_MAX,
    INTAKE_ITEM_BYTES,
    INTAKE_OF_SIGNER_MAX,
    INTAKE_TURN_BYTES,
)


class _Line:
    """What one peer has sent and nobody has looked at."""

    def __init__(self) -> None:
        self.signers: OrderedDict[int | None, deque[bytes]] = OrderedDict()
        self.sizes: dict[int | None, int] = {}
        self.size = 0
        self.heaviest: int | None = None  # the signer who took most of the line when last it was seen
        self.credit = 0
        self.fines = 0.0
        self.fined_s = trio.current_time()

    def put(self, raw: bytes) -> int:
        """How many transactions it cost to put this one into the line: 0 if there was room."""
        signer = first_signer(raw)
        queue = self.signers.setdefault(signer, deque())
        if len(queue) >= INTAKE_OF_SIGNER_MAX:
            return 1
        queue.append(raw)
        self._count(signer, _price(raw))
        if self.sizes[signer] > self.sizes.get(self.heaviest, 0):
            self.heaviest = signer
        dropped = 0
        while self.size > INTAKE_BYTES_OF_PEER_MAX:
            last = self.heaviest if self.heaviest in self.signers else signer
            self._count(last, -_price(self.signers[last].pop()))
            self._tidy(last)
            dropped += 1
        return dropped

    def take(self) -> bytes | None:
        """The next transaction for which there is credit: signers take turns."""
        if not self.signers:
            self.credit = 0
            return None
        signer, queue = next(iter(self.signers.items()))
        price = _price(queue[0])
        if price > self.credit:
            return None
        self.credit -= price
        self._count(signer, -price)
        raw = queue.popleft()
        self.signers.move_to_end(signer)
        self._tidy(signer)
        return raw

    def decayed(self) -> float:
        """The fines that are not forgotten yet: half of them are in FINES_HALVE_S."""
        now_s = trio.current_time()
        self.fines *= 0.5 ** ((now_s - self.fined_s) / FINES_HALVE_S)
        self.fined_s = now_s
        return self.fines

    def _count(self, signer: int | None, price: int) -> None:
        self.size += price
        self.sizes[signer] = self.sizes.get(signer, 0) + price

    def _tidy(self, signer: int | None) -> None:
        if not self.signers[signer]:
            del self.signers[signer], self.sizes[signer]


class Intake:
    """The lines of all peers."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._filled = trio.Event()

    def put(self, peer: str, transactions: tuple[bytes, ...]) -> int:
        """Queue what a peer has sent; returns how many transactions of that peer were dropped for it."""
        line = self._lines.get(peer)
        if line is None:
            line = self._lines[peer] = _Line()
        self._filled.set()
        return sum(line.put(raw) for raw in transactions)

    async def take(self, most: int) -> list[tuple[str, bytes]]:
        """The next transactions, at least one and at most so many, each with the peer who sent it."""
        while True:
            taken = self._turns(most)
            if taken:
                return taken
            self._filled = trio.Event()
            await self._filled.wait()

    def fine(self, peer: str) -> None:
        """Shorten the turns of a peer: a transaction of it was refused, as an honest node had done."""
        line = self._lines.get(peer)
        if line is not None:
            line.fines = min(FINES_MAX, line.decayed() + 1)

    def left(self, peer: str) -> None:
        """Forget what a peer has sent that has gone; its fines stay while there are any."""
        line = self._lines.get(peer)
        if line is not None:
            fines, self._lines[peer] = line.decayed(), _Line()
            self._lines[peer].fines = fines
            if fines < 1:
                del self._lines[peer]

    def _turns(self, most: int) -> list[tuple[str, bytes]]:
        taken: list[tuple[str, bytes]] = []
        while len(taken) < most:
            peer = next((peer for peer, line in self._lines.items() if line.signers), None)
            if peer is None:
                break
            line = self._lines[peer]
            raw = line.take()
            if raw is None:  # its turn is over, and the next one is as long as its fines let it be
                line.credit += max(1, int(INTAKE_TURN_BYTES / (1 + line.decayed())))
                self._lines.move_to_end(peer)
            else:
                taken.append((peer, raw))
        return taken


def _price(raw: bytes) -> int:
    """What a transaction takes of a line and of a turn."""
    return len(raw) + INTAKE_ITEM_BYTES
