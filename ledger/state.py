"""The state of the ledger: its tables in fixed order, savepoints, the state root, and what must be stored.

Everything that a block changes is written through these tables, so that it can be undone and is hashed.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import msgspec

from ledger import documents, rows
from ledger.codes import InvariantError
from ledger.tables import ColumnarTable, DocumentTable, Journal
from primitives.hashing import STATE, tagged_hash

D = TypeVar("D", bound=msgspec.Struct)

# The order is protocol: a table's number is its position here, counted from 1.
TABLES = (
    "parameters",
    "institutions",
    "nodes",
    "policies",
    "proposals",
    "vasps",
    "programmes",
    "fixings",
    "instruments",
    "offers",
    "debits",
    "chain",
    "accounts",
    "holdings",
    "signers",
)
NUMBERS = {name: number for number, name in enumerate(TABLES, start=1)}


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the last drain: (table, index, encoding), (table, page, rows), and all counts."""

    documents: list[tuple[int, int, bytes]]
    pages: list[tuple[int, int, bytes]]
    counts: dict[int, int]


class Source(Protocol):
    """Where a stored state is read from."""

    def count(self, table: int) -> int:
        """The number of records of a table, 0 if it was never stored."""

    def documents(self, table: int) -> Iterable[bytes]:
        """The encodings of a document table, in order of index."""

    def rows(self, table: int) -> Iterable[bytes]:
        """The pages of a columnar table, in order."""


class State:
    """All tables of one ledger, in memory."""

    def __init__(self) -> None:
        journal = self.journal = Journal()
        self.parameters = _table("parameters", documents.Parameter, journal, lambda record: record.name)
        self.institutions = _table("institutions", documents.Institution, journal, lambda record: record.name)
        self.nodes = _table("nodes", documents.Node, journal, lambda record: record.name)
        self.policies = _table("policies", documents.Policy, journal, lambda record: record.act)
        self.proposals = _table("proposals", documents.Proposal, journal)
        self.vasps = _table("vasps", documents.Vasp, journal, lambda record: record.name)
        self.programmes = _table("programmes", documents.Programme, journal, lambda record: record.name)
        self.fixings = _table("fixings", documents.Fixing, journal)
        self.instruments = _table("instruments", documents.Instrument, journal, lambda record: record.code)
        self.offers = _table("offers", documents.Offer, journal)
        self.debits = _table("debits", documents.FundingDebit, journal, lambda record: record.hash)
        self.chain = _table("chain", documents.Chain, journal)
        self.accounts = ColumnarTable(
            NUMBERS["accounts"], "accounts", rows.ACCOUNT, rows.Account._make, journal
        )
        self.holdings = ColumnarTable(
            NUMBERS["holdings"], "holdings", rows.HOLDING, rows.Holding._make, journal
        )
        self.signers = ColumnarTable(
            NUMBERS["signers"], "signers", rows.SIGNER, rows.Signer._make, journal, key="public_key"
        )
        self.document_tables: tuple[DocumentTable[Any], ...] = tuple(
            table for name in TABLES if isinstance(table := getattr(self, name), DocumentTable)
        )
        self.columnar_tables: tuple[ColumnarTable[Any], ...] = (self.accounts, self.holdings, self.signers)
        self.tables: tuple[DocumentTable[Any] | ColumnarTable[Any], ...] = (
            *self.document_tables,
            *self.columnar_tables,
        )

    @classmethod
    def empty(cls) -> Self:
        """A state without records, hashed."""
        return cls()

    @classmethod
    def load(cls, source: Source) -> Self:
        """The state that `source` holds, with trees and indexes rebuilt. Raises CodecError or InvariantError
        if what is stored cannot be a state; whether it is the right one, its root says."""
        state = cls()
        for documents_table in state.document_tables:
            number = documents_table.number
            documents_table.load(source.documents(number), source.count(number))
        for columnar_table in state.columnar_tables:
            number = columnar_table.number
            columnar_table.load(source.rows(number), source.count(number))
        return state

    def mark(self) -> int:
        """A savepoint for `undo`."""
        return self.journal.mark()

    def undo(self, mark: int) -> None:
        """Take back everything written since `mark`."""
        self.journal.undo(mark)

    def rehash(self) -> None:
        """Make every write final and hash what changed; savepoints end here."""
        self.journal.clear()
        for table in self.tables:
            table.rehash()

    def table_roots(self) -> tuple[bytes, ...]:
        """The roots in the order of TABLES. Raises InvariantError if anything changed since `rehash`."""
        return tuple(table.root() for table in self.tables)

    def root(self) -> bytes:
        """The state root, 32 bytes. Raises InvariantError if anything changed since `rehash`."""
        return state_root(self.table_roots())

    def drain_changes(self) -> Changes:
        """What must be stored so that what was stored before becomes this state; call after `rehash`."""
        return Changes(
            [(table.number, *change) for table in self.document_tables for change in table.drain()],
            [(table.number, *change) for table in self.columnar_tables for change in table.drain()],
            {table.number: len(table) for table in self.tables},
        )

    @property
    def chain_record(self) -> documents.Chain:
        """The one record of the chain."""
        if len(self.chain) != 1:
            raise InvariantError(f"chain: {len(self.chain)} records, must be one")
        return self.chain[0]

    @property
    def parameter_by_name(self) -> Mapping[str, int]:
        return self.parameters.by_key

    @property
    def vasp_by_name(self) -> Mapping[str, int]:
        return self.vasps.by_key

    @property
    def instrument_by_isin(self) -> Mapping[str, int]:
        """By code: the ISIN of a security, the currency of cash."""
        return self.instruments.by_key

    @property
    def debit_by_hash(self) -> Mapping[bytes, int]:
        return self.debits.by_key

    @property
    def signer_by_key(self) -> Mapping[bytes, int]:
        return self.signers.by_key

    def holdings_of(self, account: int) -> Iterator[int]:
        """The indices of an account's holdings, the latest first."""
        holding = int(self.accounts.field(account, "first_holding"))
        while holding != rows.NONE:
            yield holding
            holding = int(self.holdings.field(holding, "next_holding"))

    def holding_of(self, account: int, instrument: int) -> int | None:
        """The account's holding in `instrument`, found by walking the account's list."""
        for holding in self.holdings_of(account):
            if self.holdings.field(holding, "instrument") == instrument:
                return holding
        return None


def state_root(table_roots: Iterable[bytes]) -> bytes:
    """The root that commits to all tables, in the order of TABLES."""
    return tagged_hash(STATE, *table_roots)


def _table(
    name: str, schema: type[D], journal: Journal, key: Callable[[D], Hashable] | None = None
) -> DocumentTable[D]:
    return DocumentTable(NUMBERS[name], name, schema, journal, key)
