"""Who has proposed or passed on a block as no honest node does: what it brings next is looked at last."""

from collections import OrderedDict

from node.limits import DOUBT_BLOCKS, DOUBTED_MAX


class Doubts:
    """Proposers by public key and peers by name, each with the height at which it was found out; bounded in
    number and age."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes | str, int] = OrderedDict()

    def add(self, who: bytes | str, height: int) -> None:
        """Remember a proposer or a peer; whoever was found out longest ago makes room."""
        self._found.pop(who, None)
        self._found[who] = height
        if len(self._found) > DOUBTED_MAX:
            self._found.popitem(last=False)

    def holds(self, who: bytes | str, height: int) -> bool:
        """Returns True if it was found out within the last DOUBT_BLOCKS heights."""
        found = self._found.get(who)
        return found is not None and height <= found + DOUBT_BLOCKS
