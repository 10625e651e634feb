"""Block sync for a node that was away: ranges from several peers, every block proved by its certificate.

Pure bookkeeping: it says what to ask of whom and keeps what came; the driver verifies each block against its
own height's validator set (known only once the block before it is applied) and applies it. A peer's claim to
be ahead is only a claim: a peer that does not deliver what it claims is not believed for a while, so it can
delay us by one request's time and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.quorum import has_honest
from node.limits import DISTRUST_MS_MAX, SYNC_WINDOW, WINDOW_BYTES_MAX
from node.ports import Committed
from wire.messages import SyncRequest, SyncResponse

REQUEST_BLOCKS = 16
REQUEST_MS = 3_000
DISTRUST_MS = 10_000  # after the first offence; it doubles with each
GRACE_MS = 150  # one height behind is normal for this long


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A block that claims to be decided, and the peer that says so."""

    block: bytes
    certificate: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class _Outstanding:
    first: int
    count: int
    deadline_ms: int


class Sync:
    """What one node has asked for, has received, and whom it does not believe at the moment."""

    def __init__(self, height: int, powers: Mapping[str, int]) -> None:
        """`powers` are the validators' by node name: a third of the power may lie about where it stands."""
        self.height = height  # the last one applied
        self.powers = powers
        self._claims: dict[str, int] = {}
        self._outstanding: dict[str, _Outstanding] = {}
        self._late: dict[str, _Outstanding] = {}  # given up; over a slow line the answer may still come
        self._distrusted_until: dict[str, int] = {}
        self._offences: dict[str, int] = {}
        self._downloaded: dict[int, Downloaded] = {}
        self._bytes = 0
        self._behind_since_ms: int | None = None

    def claimed(self, peer: str, height: int) -> None:
        """Hear that `peer` has committed `height`."""
        self._claims[peer] = height

    def claim_of(self, peer: str) -> int:
        """What `peer` said last, or 0."""
        return self._claims.get(peer, 0)

    def left(self, peer: str) -> None:
        self._claims.pop(peer, None)
        self._outstanding.pop(peer, None)
        self._late.pop(peer, None)

    def distrust(self, peer: str, now_ms: int) -> None:
        """Hear that `peer` did not deliver, or delivered what does not verify: drop what it sent, ask
        others."""
        offences = self._offences.get(peer, 0)
        self._offences[peer] = offences + 1
        self._distrusted_until[peer] = now_ms + min(DISTRUST_MS << min(offences, 16), DISTRUST_MS_MAX)
        self._outstanding.pop(peer, None)
        for height in [height for height, item in self._downloaded.items() if item.peer == peer]:
            self._drop(height)

    def committed(self, commit: Committed) -> None:
        """By sync or by consensus."""
        height = self.height = commit.applied.height
        self.powers = commit.published.powers
        self._behind_since_ms = None
        delivered = self._downloaded.get(height)
        if delivered is not None:
            self._offences.pop(delivered.peer, None)
        for done in [done for done in self._downloaded if done <= height]:
            self._drop(done)

    def target(self, now_ms: int) -> int:
        """The greatest height that a peer we believe claims to have committed."""
        return max((self._claims[peer] for peer in self._believed(now_ms)), default=0)

    def is_behind(self, now_ms: int) -> bool:
        """Whether an honest peer has decided the height that we would vote in, and the one after it too.

        One height behind is normal: the votes that decide it are on their way. More power than can lie must
        claim it, for otherwise liars, or observers, who have none, could keep us from voting.
        """
        ahead = (peer for peer in self._believed(now_ms) if self._claims[peer] > self.height + 1)
        return has_honest(sum(self.powers.get(peer, 0) for peer in ahead), sum(self.powers.values()))

    def take(self, height: int) -> Downloaded | None:
        """The block downloaded for `height`, if there is one; it stays until applied or distrusted."""
        return self._downloaded.get(height)

    def requests(self, now_ms: int) -> list[tuple[str, SyncRequest]]:
        """What to ask of whom now."""
        overdue = [(peer, asked) for peer, asked in self._outstanding.items() if asked.deadline_ms <= now_ms]
        for peer, asked in overdue:
            self.distrust(peer, now_ms)
            self._late[peer] = asked
        target = self.target(now_ms)
        if target <= self.height:
            self._behind_since_ms = None
            return []
        if self._behind_since_ms is None:
            self._behind_since_ms = now_ms
        if target == self.height + 1 and now_ms < self._behind_since_ms + GRACE_MS:
            return []
        requests = []
        free = [peer for peer in self._believed(now_ms) if peer not in self._outstanding]
        for peer in sorted(free, key=lambda peer: -self._claims[peer]):
            wanted = self._next_range(min(self._claims[peer], self.height + SYNC_WINDOW))
            if wanted is None:
                continue
            request = SyncRequest(*wanted)
            self._outstanding[peer] = _Outstanding(request.first, request.count, now_ms + REQUEST_MS)
            requests.append((peer, request))
        return requests

    def received(self, peer: str, response: SyncResponse, now_ms: int) -> str | None:
        """Keep what `peer` sent; what is wrong with it, if something is."""
        late = self._late.get(peer)
        if late is not None and response.first == late.first:
            asked = self._late.pop(peer)
            self._distrusted_until.pop(peer, None)  # it was slow, no more
        elif peer in self._outstanding:
            asked = self._outstanding.pop(peer)
        else:
            return None  # an answer to a request that we do not know any more
        if response.first != asked.first or len(response.blocks) > asked.count:
            self.distrust(peer, now_ms)
            sent = f"sent {len(response.blocks)} from {response.first}"
            return f"asked for {asked.count} blocks from {asked.first}, {sent}"
        if not response.blocks:
            self.distrust(peer, now_ms)
            return None
        for height, (block, certificate) in enumerate(response.blocks, response.first):
            size = len(block) + len(certificate)
            if height <= self.height or height in self._downloaded:
                continue
            if self._bytes + size > WINDOW_BYTES_MAX and height != self.height + 1:
                break
            self._downloaded[height] = Downloaded(block, certificate, peer)
            self._bytes += size
        return None

    def _believed(self, now_ms: int) -> list[str]:
        return [peer for peer in self._claims if self._distrusted_until.get(peer, 0) <= now_ms]

    def _next_range(self, last: int) -> tuple[int, int] | None:
        """The first run of heights up to `last` that nobody was asked for."""
        taken = set(self._downloaded)
        for asked in self._outstanding.values():
            taken.update(range(asked.first, asked.first + asked.count))
        first = next((height for height in range(self.height + 1, last + 1) if height not in taken), None)
        if first is None or (self._bytes > WINDOW_BYTES_MAX and first != self.height + 1):
            return None
        count = 1
        while count < REQUEST_BLOCKS and first + count <= last and first + count not in taken:
            count += 1
        return first, count

    def _drop(self, height: int) -> None:
        item = self._downloaded.pop(height)
        self._bytes -= len(item.block) + len(item.certificate)
