"""Which versions of the protocol this software knows, and which declarations belong to which version.

Kinds, parameters, tables, schemas of documents and layouts of headers say since which version they are, and
until which. What a version contains follows from that (`ledger.versions`); which version a block follows is
said by the chain (`ledger.schedule`), never by what the software knows.
"""

FIRST = 1  # every chain's versions count from here
NEWEST = 1  # that this release declares

_newest = NEWEST


class UnknownVersion(Exception):
    """The chain follows, or is about to follow, a version that this software does not know."""

    def __init__(self, version: int, height: int) -> None:
        super().__init__(
            f"block {height} follows version {version} of the protocol, this software knows versions "
            f"{FIRST} to {newest()}: install a release of mohur that knows version {version}, then start "
            "the node again"
        )
        self.version = version
        self.height = height


def newest() -> int:
    """The highest version that this software knows; it knows all below it."""
    return _newest


def learn(version: int) -> None:
    """Know the versions up to this one; for what declares a version outside of a release."""
    global _newest
    _newest = version


def holds(version: int, since: int, until: int | None) -> bool:
    """Whether what is declared since one version, until another (None: still), belongs to `version`."""
    return since <= version and (until is None or version <= until)
