"""Who is ready for the version of the protocol that is scheduled: what each node last said it knows."""

from api.reads.running import UpgradeView
from ledger.release import newest
from node.published import Published


class Readiness:
    """The highest version that each node knows, by its hello; ours from the software itself."""

    def __init__(self, name: str) -> None:
        self._known = {name: newest()}

    def said(self, name: str, knows: int) -> None:
        """A node said hello; it may have been replaced by newer software, or older, since the last time."""
        self._known[name] = knows

    def upgrade(self, published: Published) -> UpgradeView | None:
        """What is scheduled and which nodes of the registry do not know it, or were never heard."""
        if published.scheduled is None:
            return None
        version, height = published.scheduled
        late = [node.name for node in published.nodes if self._known.get(node.name, 0) < version]
        return UpgradeView(version=version, from_height=height, not_ready=tuple(late))
