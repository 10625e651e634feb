"""A store in memory for what a state drains: what a database would keep, and gives back."""

from collections.abc import Iterable

from ledger.state import Changes


class KeptState:
    """Keeps drained changes, and is a `ledger.state.Source` of them."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[int, bytes]] = {}
        self.counts: dict[int, int] = {}

    def save(self, changes: Changes) -> None:
        for table, index, content in (*changes.documents, *changes.pages):
            self.kept.setdefault(table, {})[index] = content
        self.counts = changes.counts

    def count(self, table: int) -> int:
        return self.counts.get(table, 0)

    def documents(self, table: int) -> Iterable[bytes]:
        return [content for _, content in sorted(self.kept.get(table, {}).items())]

    rows = documents
