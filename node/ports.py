"""The ports of a node: what another engine, a key in hardware or an indexer would plug into.

A port is a few methods and a promise. Whoever calls it knows nothing else of what stands behind it, and
whoever stands behind it need not know the node. A fourth one, the transport, is that of `node.peers`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from consensus.messages import Certificate
from node.published import Published
from node.replica import AppliedBlock, StateDivergence
from node.sealed import SealedBlock


@dataclass(frozen=True, slots=True)
class Committed:
    """One block that was decided, executed and stored with its results."""

    block: SealedBlock
    certificate: Certificate
    applied: AppliedBlock
    published: Published  # what the node shows from now on


class Commits(Protocol):
    """A listener to commits; a node has a list of them (`Node.listeners`)."""

    def committed(self, commit: Committed) -> None:
        """Hear of a block: every height once, in order, on the event loop, before the next one is executed.

        It must not wait, and what it does is done before the next height begins: keep it short, or set an
        event that a task of your own waits for. Blocks executed again when a node starts are not told:
        whoever keeps something for longer than the process reads from the block log what it missed.
        """


class Application(Protocol):
    """What consensus orders blocks for: another engine would call the same four methods.

    Between two calls of `execute` the application stands still: `build` and `check` are always about the
    next block after the last one executed. Each is called by one task at a time, `execute` off the event
    loop.
    """

    def build(self, now_ms: int, proposer: int, cost_max: int) -> SealedBlock:
        """A valid next block, for the validator at position `proposer` to propose, that costs no more than
        `cost_max` if it holds more than one transaction."""

    def check(self, block: SealedBlock, given_up: Callable[[], bool]) -> str | None:
        """Why `block` is not valid as the next one, or None. It depends on the block and on what was executed
        and on nothing else: every honest node answers the same. Called off the event loop; asks `given_up`
        now and then, and raises GivenUp as soon as nobody waits for the answer."""

    def execute(self, block: SealedBlock, certificate: Certificate) -> AppliedBlock:
        """Make a decided block durable, then execute it and keep its results. Raises StateDivergence if what
        was decided contradicts our state, StorageError when the disk fails: then the node stops."""

    def divergence(self, block: SealedBlock) -> StateDivergence:
        """What an engineer needs when a quorum has decided a block that `check` refuses."""


class GivenUp(Exception):
    """A check was left: nobody waits for its answer any more."""


class Signing(Protocol):
    """A validator's key: in memory today, in hardware or at another machine tomorrow."""

    @property
    def public_key(self) -> bytes:
        """The Ed25519 key, 32 bytes, under which signatures verify."""

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`, 64 bytes; the same again for the same message (RFC 8032).

        Called off the event loop, may take as long as a network does, and is never called inside a
        transaction of any store: what is to be signed is durable before, by `storage.signer`. Raises
        SigningFailed when the key cannot be reached: then the validator is silent in that step.
        """


class SigningFailed(Exception):
    """The key did not sign: it is locked, or cannot be reached."""
