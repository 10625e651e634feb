"""Who is ready for the version of the protocol that is scheduled: what each node last said it knows."""

import structlog

from api.reads.running import UpgradeView
from ledger.documents import NodeRole
from ledger.release import newest
from node.ports import Committed
from node.published import Published

log = structlog.get_logger("upgrade")


class Readiness:
    """The highest version that each node knows, by its hello; ours from the software itself."""

    def __init__(self, name: str) -> None:
        self._known = {name: newest()}
        self._told: tuple[int, int] | None = None

    def committed(self, commit: Committed) -> None:
        """Say once what is scheduled, and louder if this very node will stop there (node.ports.Commits)."""
        scheduled, told = commit.published.scheduled, self._told
        self._told = scheduled
        if scheduled == told:
            return
        if scheduled is None:
            version, height = told or (0, 0)
            if commit.published.version == version:
                log.info("a version of the protocol is in force", version=version, from_height=height)
            else:
                log.info("the version that was scheduled is cancelled", version=version, from_height=height)
            return
        version, height = scheduled
        if version > newest():
            log.error(
                "this node stops before a version that it does not know: install the release that does",
                version=version,
                from_height=height,
                knows=newest(),
            )
        else:
            log.info("a version of the protocol is scheduled", version=version, from_height=height)

    def said(self, name: str, knows: int) -> None:
        """Hear that a node said hello; it may have been replaced by newer software, or older, since the last
        time."""
        self._known[name] = knows

    def upgrade(self, published: Published) -> UpgradeView | None:
        """What is scheduled and which nodes of the registry do not know it, or were never heard."""
        if published.scheduled is None:
            return None
        version, height = published.scheduled
        late = [
            node.name
            for node in published.nodes
            if node.role is not NodeRole.RETIRED and self._known.get(node.name, 0) < version
        ]
        return UpgradeView(version=version, from_height=height, not_ready=tuple(late))
