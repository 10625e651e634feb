"""The state of the ledger: its tables by their numbers, savepoints, the state root, and what must be stored.

Everything that a block changes is written through these tables, so that it can be undone and is hashed.
To add a table, add a line to the class `State`: the next free number, which never gets a second meaning.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeVar, cast

import msgspec
import numpy as np

from ledger import documents, rows
from ledger.agenda import DueIndex
from ledger.codes import InvariantError
from ledger.documents import InstrumentStatus, OfferStatus, ProposalStatus, VersionStatus
from ledger.events import UNWATCHED, Watch
from ledger.release import FIRST, UnknownVersion, holds, newest
from ledger.tables import ColumnarTable, DocumentTable, Journal, Mark
from ledger.views import Documents, DocumentsView, Rows, RowsView
from primitives.hashing import STATE, tagged_hash

D = TypeVar("D", bound=msgspec.Struct)
R = TypeVar("R", bound=tuple[Any, ...])

NEW_RECORDS = Watch()
REWRITTEN = Watch(rewritten=True)

TableRoots = tuple[tuple[int, bytes], ...]  # (number of the table, its root), numbers ascending


@dataclass(frozen=True, slots=True)
class Revision:
    """From version `since` on, the documents of a table have another schema; `lift` turns the old ones."""

    since: int
    schema: type[msgspec.Struct]
    lift: Callable[[Any], msgspec.Struct]


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table of the protocol's versions from `since` to `until` (None: still): documents if it has a
    `schema`, else rows of the layout `dtype`. `key` names the field by which its records are found,
    `groups` gives the groups in which the index lists a document, `watches` what is watched since which
    version."""

    number: int
    key: str | None
    since: int
    until: int | None
    schema: type[msgspec.Struct] | None = None
    dtype: np.dtype[Any] | None = None
    row_type: Callable[[Iterable[Any]], tuple[Any, ...]] | None = None
    groups: Callable[[Any], tuple[Hashable, ...]] | None = None
    revisions: tuple[Revision, ...] = ()
    watches: tuple[tuple[int, Watch], ...] = ((FIRST, UNWATCHED),)
    name: str = ""

    @property
    def watched_fields(self) -> tuple[str, ...]:
        """The fields that events of any version name by their number, from 1."""
        return self.watches[-1][1].fields

    def watch_at(self, version: int) -> Watch:
        """What this version watches of it."""
        return next((watch for since, watch in reversed(self.watches) if since <= version), UNWATCHED)

    def in_force(self, version: int) -> bool:
        """Whether the state of this version has the table."""
        return holds(version, self.since, self.until)

    def schema_at(self, version: int) -> type[Any]:
        """The schema of the documents as `version` writes them. Raises InvariantError if it has rows."""
        if self.schema is None:
            raise InvariantError(f"{self.name}: has rows, no documents")
        revised = [revision.schema for revision in self.revisions if revision.since <= version]
        return revised[-1] if revised else self.schema

    def create(self, journal: Journal, version: int) -> "DocumentTable[Any] | ColumnarTable[Any]":
        """The table, empty, as `version` has it."""
        if self.schema is not None:
            key = attrgetter(self.key) if self.key is not None else None
            table = DocumentTable(self.number, self.name, self.schema, journal, key, self.groups)
            table.watch(self.watch_at(version))
            for revision in self.revisions:
                if revision.since <= version:
                    table.revise(revision.schema, revision.lift)
            return table
        if self.dtype is None or self.row_type is None:
            raise InvariantError(f"{self.name}: neither documents nor rows")
        rows = ColumnarTable(self.number, self.name, self.dtype, self.row_type, journal, self.key)
        rows.watch(self.watch_at(version))
        return rows


def documents_of(
    number: int,
    schema: type[D],
    key: str | None = None,
    *,
    groups: Callable[[D], tuple[Hashable, ...]] | None = None,
    since: int = FIRST,
    until: int | None = None,
    revisions: tuple[Revision, ...] = (),
    watch: Watch = NEW_RECORDS,
) -> DocumentTable[D]:
    """Declares a table of documents; on an instance the attribute is the table itself."""
    spec = TableSpec(
        number,
        key,
        since,
        until,
        schema=schema,
        revisions=revisions,
        groups=groups,
        watches=((since, watch),),
    )
    return cast(DocumentTable[D], spec)


def rows_of(
    number: int,
    dtype: np.dtype[Any],
    row_type: Callable[[Iterable[Any]], R],
    key: str | None = None,
    *,
    since: int = FIRST,
    until: int | None = None,
    watch: Watch = NEW_RECORDS,
) -> ColumnarTable[R]:
    """Declares a table of fixed-width rows; on an instance the attribute is the table itself."""
    spec = TableSpec(number, key, since, until, dtype=dtype, row_type=row_type, watches=((since, watch),))
    return cast(ColumnarTable[R], spec)


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


def _makers_and_subjects_if_open(proposal: documents.Proposal) -> tuple[Hashable, ...]:
    if proposal.status is not ProposalStatus.OPEN:
        return ()
    return (proposal.maker, ("institution", proposal.institution), *proposal.rests_on)


CURRENCY = "currency"  # the group of instruments that stand under no programme


def _currency_or_programme_if_live(instrument: documents.Instrument) -> tuple[Hashable, ...]:
    if instrument.programme == documents.NONE:
        return (CURRENCY,)
    live = instrument.status is not InstrumentStatus.REDEEMED
    return (instrument.programme,) if live else ()


def _instrument_if_open(offer: documents.Offer) -> tuple[Hashable, ...]:
    return (offer.instrument,) if offer.status is OfferStatus.OPEN else ()


def _held_and_causes_if_open(restriction: documents.Restriction) -> tuple[Hashable, ...]:
    if restriction.ended_ms:
        return ()
    return ((restriction.target, restriction.index), *restriction.causes)


class Readable:
    """What can be read of a state, live or published: functions that write nothing ask for this."""

    version: int  # the one in force; the table `versions` says the same
    parameters_held: Mapping[str, Any] | None = None  # while a block is executed: as it began
    parameters: Documents[documents.Parameter]
    institutions: Documents[documents.Institution]
    nodes: Documents[documents.Node]
    policies: Documents[documents.Policy]
    proposals: Documents[documents.Proposal]
    vasps: Documents[documents.Vasp]
    programmes: Documents[documents.Programme]
    fixings: Documents[documents.Fixing]
    instruments: Documents[documents.Instrument]
    offers: Documents[documents.Offer]
    debits: Documents[documents.FundingDebit]
    chain: Documents[documents.ChainRecord]
    accounts: Rows[rows.Account]
    holdings: Rows[rows.Holding]
    signers: Rows[rows.Signer]
    versions: Documents[documents.Version]
    agenda: Rows[rows.Due]
    restrictions: Documents[documents.Restriction]

    @property
    def chain_record(self) -> documents.ChainRecord:
        """The one record of the chain."""
        if len(self.chain) != 1:
            raise InvariantError(f"chain: {len(self.chain)} records, must be one")
        return self.chain[0]


class StateView(Readable):
    """A state as it stood between two blocks: never written, to be read by whoever and for as long as he
    likes (`ledger.views`)."""

    accounts: RowsView[rows.Account]
    holdings: RowsView[rows.Holding]
    agenda: RowsView[rows.Due]
    restrictions: DocumentsView[documents.Restriction]

    def __init__(
        self, version: int, root: bytes, tables: Iterable[DocumentsView[Any] | RowsView[Any]]
    ) -> None:
        self.version = version
        self._root = root
        for table in tables:
            setattr(self, table.name, table)

    def root(self) -> bytes:
        """The state root, 32 bytes."""
        return self._root


class State(Readable):
    """All tables of one ledger, in memory: those of the version in force, the others empty."""

    parameters = documents_of(1, documents.Parameter, "name", watch=REWRITTEN)
    institutions = documents_of(2, documents.Institution, "name", watch=REWRITTEN)
    nodes = documents_of(3, documents.Node, "name", watch=Watch(("power", "offences", "role")))
    policies = documents_of(4, documents.Policy, "act", watch=REWRITTEN)
    proposals = documents_of(
        5, documents.Proposal, groups=_makers_and_subjects_if_open, watch=Watch(("status",))
    )
    vasps = documents_of(6, documents.Vasp, "name", watch=Watch(("stage", "frozen", "signer")))
    programmes = documents_of(7, documents.Programme, "name")
    fixings = documents_of(8, documents.Fixing)
    instruments = documents_of(
        9,
        documents.Instrument,
        "code",
        groups=_currency_or_programme_if_live,
        watch=Watch(("status", "frozen")),
    )
    offers = documents_of(10, documents.Offer, groups=_instrument_if_open, watch=Watch(("status",)))
    debits = documents_of(11, documents.FundingDebit, "hash")
    chain = documents_of(12, documents.ChainRecord, watch=Watch(("market_frozen",), created=False))
    accounts = rows_of(13, rows.ACCOUNT, rows.Account._make, watch=Watch(("flags", "kyc_until")))
    holdings = rows_of(14, rows.HOLDING, rows.Holding._make, watch=Watch(("flags", "instrument")))
    signers = rows_of(15, rows.SIGNER, rows.Signer._make, "public_key", watch=Watch(("flags",)))
    versions = documents_of(16, documents.Version, watch=Watch(("status",)))
    agenda = rows_of(17, rows.AGENDA, rows.Due._make, watch=UNWATCHED)
    restrictions = documents_of(
        18, documents.Restriction, groups=_held_and_causes_if_open, watch=Watch(("ended_ms",))
    )

    def __init__(self, version: int = FIRST) -> None:
        self.version = version
        self.journal = Journal()
        self.stream = self.journal.stream  # of postings and events
        self._tables: dict[int, DocumentTable[Any] | ColumnarTable[Any]] = {}
        for _, spec in sorted(TABLES.items()):
            self._put(spec.create(self.journal, version))
        self.due = DueIndex(self.agenda)

    @classmethod
    def empty(cls, version: int = FIRST) -> Self:
        """A state of the version without records, hashed."""
        return cls(version)

    @classmethod
    def load(cls, source: Source) -> Self:
        """The state that `source` holds, with trees and indexes rebuilt. Raises CodecError or InvariantError
        if what is stored cannot be a state, UnknownVersion if it is of a version that this software does not
        know; whether it is the right one, its root says."""
        state = cls()
        _load(state.versions, source)
        in_force = _in_force(state.versions)
        if in_force.version > newest():
            raise UnknownVersion(in_force.version, in_force.from_height)
        state = cls(in_force.version)
        for table in state.tables:
            _load(table, source)
        state.due.rebuild()
        return state

    @property
    def tables(self) -> tuple[DocumentTable[Any] | ColumnarTable[Any], ...]:
        """The tables that the version in force has, by ascending number."""
        return tuple(table for number, table in self._tables.items() if TABLES[number].in_force(self.version))

    def enter(self, version: int) -> None:
        """Make `version` the one in force: its tables exist, those that ended are empty, its documents are
        rewritten to its schemas."""
        before, self.version = self.version, version
        for number, table in self._tables.items():
            spec = TABLES[number]
            if spec.in_force(before) and not spec.in_force(version):
                self._put(spec.create(self.journal, version))
                continue
            table.watch(spec.watch_at(version))
            if isinstance(table, DocumentTable):
                for revision in spec.revisions:
                    if before < revision.since <= version:
                        table.revise(revision.schema, revision.lift)

    def _put(self, table: DocumentTable[Any] | ColumnarTable[Any]) -> None:
        self._tables[table.number] = table
        setattr(self, table.name, table)

    def mark(self) -> Mark:
        """A savepoint for `undo`."""
        return self.journal.mark()

    def undo(self, mark: Mark) -> None:
        """Take back everything written since `mark`."""
        self.journal.undo(mark)
        self.due.undone(mark.position)

    def rehash(self) -> None:
        """Make every write final and hash what changed; savepoints and the block's stream end here. Raises
        InvariantError if something was written to a table that the version in force does not have."""
        self.journal.clear()
        self.due.settled()
        for number, table in self._tables.items():
            if TABLES[number].in_force(self.version):
                table.rehash()
            elif len(table):
                raise InvariantError(f"{table.name}: has records, version {self.version} has no such table")

    def table_roots(self) -> TableRoots:
        """The roots of the tables in force. Raises InvariantError if anything changed since `rehash`."""
        return tuple((table.number, table.root()) for table in self.tables)

    def root(self) -> bytes:
        """The state root, 32 bytes. Raises InvariantError if anything changed since `rehash`."""
        return state_root(self.version, self.table_roots())

    def drain_changes(self) -> Changes:
        """What must be stored so that what was stored before becomes this state; call after `rehash`."""
        tables = self.tables
        return Changes(
            [
                (table.number, *change)
                for table in tables
                if isinstance(table, DocumentTable)
                for change in table.drain()
            ],
            [
                (table.number, *change)
                for table in tables
                if isinstance(table, ColumnarTable)
                for change in table.drain()
            ],
            {table.number: len(table) for table in tables},
        )

    def publish(self) -> StateView:
        """This state, to be read while it moves on. Raises InvariantError if anything changed since
        `rehash`."""
        return StateView(self.version, self.root(), [table.publish() for table in self._tables.values()])

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

    def holdings_of(self, account: int) -> Iterator[int]:
        """The indices of an account's holdings, the latest first."""
        holding = int(self.accounts.field(account, "first_holding"))
        while holding != rows.NO_ROW:
            yield holding
            holding = int(self.holdings.field(holding, "next_holding"))

    def holding_of(self, account: int, instrument: int) -> int | None:
        """The account's holding in `instrument`, found by walking the account's list."""
        for holding in self.holdings_of(account):
            if self.holdings.field(holding, "instrument") == instrument:
                return holding
        return None


# Never revised, and without end: by `versions` any software tells of which version a stored state is, even of
# one that it does not know; on `agenda` stands the index of what is due.
LASTING = frozenset({"agenda", "versions"})

_declared: dict[int, TableSpec] = {}
TABLES: Mapping[int, TableSpec] = MappingProxyType(_declared)  # every table of every version, by number


def declare(spec: TableSpec) -> None:
    """Know a table. Raises InvariantError if its number or name is another's, or if it may not be so."""
    for known in _declared.values():
        if spec.number == known.number or spec.name == known.name:
            raise InvariantError(f"table {spec.number} {spec.name} is already {known.number} {known.name}")
    _know(spec)


def revise(name: str, revision: Revision) -> None:
    """Know a further schema of a table of documents. Raises InvariantError if the table may not have one."""
    spec = _declared[NUMBERS[name]]
    _know(replace(spec, revisions=(*spec.revisions, revision)))


def watch(name: str, since: int, watched: Watch) -> None:
    """Watch more of a table from a version on. Raises InvariantError unless that is later than what is known,
    and the fields begin with those of before, whose numbers stand in events."""
    spec = _declared[NUMBERS[name]]
    before, last = spec.watches[-1]
    if since <= before or watched.fields[: len(last.fields)] != last.fields:
        raise InvariantError(f"table {spec.number} {spec.name}: what is watched is only ever added to")
    _know(replace(spec, watches=(*spec.watches, (since, watched))))


def _know(spec: TableSpec) -> None:
    if spec.name in LASTING and (spec.revisions or spec.since != FIRST or spec.until is not None):
        raise InvariantError(f"table {spec.number} {spec.name} stays as it is in version {FIRST} for ever")
    _declared[spec.number] = spec


for _name, _spec in list(vars(State).items()):
    if isinstance(_spec, TableSpec):
        declare(replace(_spec, name=_name))

NUMBERS: Mapping[str, int] = MappingProxyType({spec.name: spec.number for spec in TABLES.values()})


def state_root(version: int, table_roots: TableRoots) -> bytes:
    """The root that commits to the version in force and to all its tables, each by its number."""
    pairs = (number.to_bytes(1, "big") + root for number, root in table_roots)
    return tagged_hash(STATE, version.to_bytes(4, "big"), *pairs)


def _load(table: DocumentTable[Any] | ColumnarTable[Any], source: Source) -> None:
    stored = source.documents if isinstance(table, DocumentTable) else source.rows
    table.load(stored(table.number), source.count(table.number))


def _in_force(schedule: Iterable[documents.Version]) -> documents.Version:
    """The record of `versions` that is in force. Raises InvariantError if not exactly one is."""
    found = [record for record in schedule if record.status is VersionStatus.IN_FORCE]
    if len(found) != 1:
        raise InvariantError(f"versions: {len(found)} are in force, must be one")
    return found[0]
