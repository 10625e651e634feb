"""Who may be a peer: asked of whoever greets, and of those who are connected again after every block.

The ledger decides it. A validator that is retired stays until the set without it is in force, two blocks
after the act, because its votes still count until then; what changes of an observer, or of an institution's
roots, counts at once.
"""

from collections.abc import Callable, Mapping, Sequence

from ledger.documents import NodeRole
from node.peers import PeerName
from node.published import Published

Roots = Mapping[str, Sequence[bytes]]


class Membership:
    """The registry of nodes and the institutions' roots as they bear upon one node's peers."""

    def __init__(
        self, published: Callable[[], Published], roots: Callable[[], Roots], is_behind: Callable[[], bool]
    ) -> None:
        """`roots` are those under which a certificate may stand now; `is_behind` says whether the chain of
        others has gone on without us, so that the registry as we have it may be an old one."""
        self._published = published
        self._roots = roots
        self._is_behind = is_behind
        self._keys: dict[str, bytes] = {}  # of each peer, when it joined

    def fault_of(self, peer: PeerName) -> str | None:
        """Why `peer` may not be one, or None; while we are behind, its institution's root is enough."""
        published = self._published()
        if peer.root not in self._roots().get(peer.institution, ()):
            return f"the root of {peer.institution} that issued the certificate of {peer.node} counts no more"
        known = published.node(peer.node)
        if known is None:
            return None if self._is_behind() else f"{peer.node} is not in the ledger's registry of nodes"
        if known.institution != peer.institution:
            return f"{peer.node} belongs to {known.institution}, its certificate says {peer.institution}"
        if known.role is NodeRole.RETIRED and peer.node not in published.voters:
            return f"{peer.node} is retired"
        return None

    def joined(self, peer: PeerName) -> None:
        """Remember with which key it is registered."""
        self._keys[peer.node] = self._published().key_in_force(peer.node)

    def left(self, peer: PeerName) -> None:
        self._keys.pop(peer.node, None)

    def parting(self, peer: PeerName) -> str | None:
        """Why the connection of `peer`, who has joined, ends with the block just committed, or None."""
        if self._published().key_in_force(peer.node) != self._keys.get(peer.node, b""):
            return f"{peer.node} has another key on the ledger since it joined: it greets anew"
        return self.fault_of(peer)
