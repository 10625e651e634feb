"""Whose votes this node has seen: in the certificates of blocks, and from their own validators' mouths.

Certificates alone would not do: they need no more signatures than a quorum, and a validator that is far away
may stand in none of them.
"""

from node.ports import Committed
from node.published import Published
from wire.messages import VoteMessage


class Attendance:
    """The newest vote of each node, since this node started."""

    def __init__(self, published: Published) -> None:
        self._since = published.height
        self._voters = {published.height + 1: published.voters}  # of the last height and of the next
        self._voted: dict[str, int] = {}

    def committed(self, commit: Committed) -> None:
        """Count those who signed, and know who votes next (node.ports.Commits)."""
        height = commit.applied.height
        voters = self._voters.get(height, ())
        for position, _ in commit.certificate.signatures:
            if position < len(voters):
                self._voted[voters[position]] = height
        self._voters = {height: voters, height + 1: commit.published.voters}

    def heard(self, peer: str, vote: VoteMessage) -> None:
        """Count a peer's own vote, also one that comes too late; TLS says that it is the peer's."""
        voters = self._voters.get(vote.height, ())
        if vote.validator < len(voters) and voters[vote.validator] == peer:
            self._voted[peer] = max(vote.height, self._voted.get(peer, 0))

    def voted(self, name: str) -> int:
        """The height of the newest vote of a node that was seen, 0 if none was."""
        return self._voted.get(name, 0)

    def blocks_since(self) -> int:
        """For how many blocks this node has watched."""
        return max(self._voters) - 1 - self._since
