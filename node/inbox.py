"""What peers say to consensus, in a bounded queue in which each peer has a fair share of the room."""

from contextlib import suppress
from dataclasses import dataclass

import trio

from node.limits import BLOCKS_OF_PEER_MAX, INBOX_MAX, VOTES_OF_PEER_MAX
from wire.messages import CertificateMessage, ProposalMessage, VoteMessage


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer's consensus message and when it came, in milliseconds of our clock."""

    peer: str
    message: VoteMessage | ProposalMessage | CertificateMessage
    received_ms: int


class Inbox:
    """The queue of one node: many put, one takes."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Heard | None](INBOX_MAX)
        self._votes_of: dict[str, trio.Semaphore] = {}  # the room that each peer has left
        self._blocks_of: dict[str, trio.Semaphore] = {}
        self._woken = False

    async def put(self, heard: Heard) -> None:
        """Queue a peer's message; waits while the peer's share is full, so that a flood waits in its own
        connection, and neither grows our memory nor stands before the votes of others."""
        room = self._room_of(heard)
        await room.acquire()
        try:
            await self._send.send(heard)
        except BaseException:
            room.release()
            raise

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits to be taken."""
        return self._receive.statistics().current_buffer_used == 0

    def wake(self) -> None:
        """Let `take` return although nobody said anything."""
        if not self._woken:
            with suppress(trio.WouldBlock):  # a full inbox is looked at anyway
                self._send.send_nowait(None)
                self._woken = True

    async def take(self, deadline_s: float) -> Heard | None:
        """The next message; None when woken, or when Trio's clock has reached the deadline."""
        heard: Heard | None = None
        with trio.move_on_at(deadline_s):
            heard = await self._receive.receive()
        if heard is None:
            self._woken = False
        else:
            self._room_of(heard).release()
        return heard

    def _room_of(self, heard: Heard) -> trio.Semaphore:
        if isinstance(heard.message, ProposalMessage):
            return self._blocks_of.setdefault(heard.peer, trio.Semaphore(BLOCKS_OF_PEER_MAX))
        return self._votes_of.setdefault(heard.peer, trio.Semaphore(VOTES_OF_PEER_MAX))
