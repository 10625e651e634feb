"""The records of the document tables: one frozen Struct per record, encoded as one msgpack array.

An index is a position in a table and never changes; NONE stands where a record refers to nothing. Times are
integer milliseconds of ledger time (header time plus the chain's clock offset) unless a name says otherwise;
days are whole ledger days since 1970-01-01 at UTC+05:00 (`ledger.calendar`).

Rule: every text, every run of bytes and every list has a stated bound, and the largest record that the bounds
allow is within DOCUMENT_BYTES_MAX. Tables hold to it when a record is written as when it is read, so whatever
would pass a bound is refused where it is asked for.
"""

from enum import IntEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ledger.limits import (
    CA_ROOT_BYTES_MAX,
    CA_ROOTS_MAX,
    CATEGORIES_MAX,
    CAUSES_MAX,
    CLASSES_MAX,
    CREATED_MAX,
    INSTITUTIONS_MAX,
    JURISDICTIONS_MAX,
    NAMES_MAX,
    OFFENDED_MAX,
    OFFER_VASPS_MAX,
    OFFICERS_MAX,
    PAYLOAD_BYTES_MAX,
    PROPOSAL_SUBJECTS_MAX,
    REFUSAL_VALUES_MAX,
    SIGNATURES_MAX,
    SUBJECT_BYTES_MAX,
    TITLE_CHARACTERS_MAX,
)
from ledger.schema import U8, U16, Hash32, Index, Jurisdiction, Name, PublicKey, Text
from ledger.terms import Terms

NONE = -1  # in documents; columnar rows, whose integers have no sign, have rows.NO_ROW


class Rule(IntEnum):
    """How a policy counts institutions; an institution counts once its threshold of officers has signed."""

    ALL_OF = 1  # every institution named
    ANY_ONE_OF = 2  # one of them
    TWO_DIFFERENT_OF = 3  # two of them
    TWO_THIRDS_VOTING = 4  # more than two thirds of the institutions marked voting; the names are unused
    PROPOSER = 5  # the institution of the proposal's maker, alone; the names are unused


class Stage(IntEnum):
    """Where a VASP stands. The order of the numbers is the order of the lifecycle up to LICENSED."""

    APPLIED = 1
    NOC = 2
    LICENCE_APPLIED = 3
    LICENSED = 4
    REJECTED = 5
    SUSPENDED = 6
    REVOKED = 7


class InstrumentStatus(IntEnum):
    ACTIVE = 1
    MATURED_UNPAID = 2
    REDEEMED = 3


class Register(IntEnum):
    """Where the register of record is: this ledger, or a depository that immobilised the paper."""

    NATIVE = 1
    IMMOBILISED = 2


class OfferStatus(IntEnum):
    OPEN = 1
    CLOSED = 2
    WITHDRAWN = 3


class ProposalStatus(IntEnum):
    OPEN = 1
    EXECUTED = 2
    FAILED = 3
    REJECTED = 4
    WITHDRAWN = 5
    EXPIRED = 6


class NodeRole(IntEnum):
    """What a node does; a RETIRED one is nobody's peer any more, and its name stays taken."""

    VALIDATOR = 1
    OBSERVER = 2
    RETIRED = 3


class Target(IntEnum):
    """What a restriction holds back."""

    ACCOUNT = 1
    HOLDING = 2
    INSTRUMENT = 3
    VASP = 4
    MARKET = 5


class VersionStatus(IntEnum):
    """Where a version of the protocol stands in the schedule; exactly one is IN_FORCE."""

    SCHEDULED = 1
    IN_FORCE = 2
    REPLACED = 3
    CANCELLED = 4


class RestrictionKind(IntEnum):
    """Why something is held back."""

    FREEZE = 1


class Document(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What every record shares: it is an array, it is never changed in place, it has no surplus fields."""


class Parameter(Document, frozen=True):
    """One parameter whose value the chain holds; `ledger.parameters` knows its type and bounds."""

    name: Name
    value: int | Name | Annotated[tuple[Name, ...], Meta(max_length=NAMES_MAX)]


class CaRoot(Document, frozen=True):
    """A root certificate (DER) of an institution's node certificates; `until_ms` 0 means no end."""

    der: Annotated[bytes, Meta(max_length=CA_ROOT_BYTES_MAX)]
    from_ms: int
    until_ms: int


class Institution(Document, frozen=True):
    """An institution; `officers` are signer indices, ascending, `treasury` its account or NONE."""

    name: Name
    title: Annotated[str, Meta(max_length=TITLE_CHARACTERS_MAX)]
    voting: bool
    threshold: int
    officers: Annotated[tuple[Index, ...], Meta(max_length=OFFICERS_MAX)]
    treasury: int
    ca_roots: Annotated[tuple[CaRoot, ...], Meta(max_length=CA_ROOTS_MAX)]


class Node(Document, frozen=True):
    """A node of the network; a validator has `power` and votes. It has role and power by the block
    `since_height` (0: by the genesis).

    `offences` counts its proven ones, one a height; `offended` are the latest heights of them, ascending, by
    which `ledger.validators` knows evidence that is not to be committed again.
    """

    name: Name
    institution: int
    public_key: PublicKey
    power: int
    role: NodeRole
    since_height: int
    offences: int
    offended: Annotated[tuple[int, ...], Meta(max_length=OFFENDED_MAX)]


class Policy(Document, frozen=True):
    """Who must approve `act` (the name of a kind); `institutions` are indices."""

    act: Name
    rule: Rule
    institutions: Annotated[tuple[Index, ...], Meta(max_length=INSTITUTIONS_MAX)]


class Approval(Document, frozen=True):
    """One officer's signature under a proposal, or under its rejection or withdrawal."""

    officer: Index
    institution: Index
    height: int
    time_ms: int
    reason: U16


Signatures = Annotated[tuple[Approval, ...], Meta(max_length=INSTITUTIONS_MAX * SIGNATURES_MAX)]
Subject = Annotated[bytes, Meta(max_length=SUBJECT_BYTES_MAX)]


class Proposal(Document, frozen=True):
    """A governed act on its way: `payload` is the encoding of the act's payload.

    `maker` is the first signer. A FAILED proposal keeps the refusal of its effect (code, field number,
    values); an EXECUTED one the indices that its effect created. `due` is its row of the agenda, which lets
    it expire, or NONE if it was decided at once. `rests_on` are the subjects, each encoded, whose move by
    another act closes it; the first `claims` of them are kept for its institution.
    """

    kind: int
    act: Name
    payload: Annotated[bytes, Meta(max_length=PAYLOAD_BYTES_MAX)]
    maker: int
    institution: int
    created_height: int
    created_ms: int
    expires_ms: int
    status: ProposalStatus
    approvals: Signatures
    objections: Signatures
    decided_height: int
    decided_ms: int
    code: int
    field: int
    values: Annotated[tuple[Any, ...], Meta(max_length=REFUSAL_VALUES_MAX)]  # of codes.Plain
    created: Annotated[tuple[Index, ...], Meta(max_length=CREATED_MAX)]
    due: int
    rests_on: Annotated[tuple[Subject, ...], Meta(max_length=PROPOSAL_SUBJECTS_MAX)]
    claims: int


NameOrNone = Annotated[str, Meta(max_length=64)]  # empty: not yet
Categories = Annotated[tuple[Name, ...], Meta(max_length=CATEGORIES_MAX)]


class Vasp(Document, frozen=True):
    """A virtual asset service provider and where its admission stands; a time of 0 means not yet.

    `returns_to` is the stage to which a suspended, rejected or revoked VASP may return, and equals `stage`
    otherwise. `replacement` is the row of the agenda that replaces its settlement key, or NONE if none is
    pending.
    """

    name: Name
    title: Name
    signer: int
    stage: Stage
    returns_to: Stage
    noc_ms: int
    goaml_ms: int
    goaml_reference: NameOrNone
    subsidiary_ms: int
    subsidiary_name: NameOrNone
    subsidiary_number: NameOrNone
    applied_ms: int
    applied_categories: Categories
    licensed_ms: int
    categories: Categories
    accounts: int
    frozen: bool
    replacement: int


class Programme(Document, frozen=True):
    """A borrowing programme; use of its cap is computed, never stored (`ledger.programmes`)."""

    name: Name
    cap_cents: int
    created_ms: int


class Fixing(Document, frozen=True):
    """An exchange rate attested by the central bank: PKR per USD times 10**4, as of a ledger time."""

    rate_e4: int
    as_of_ms: int
    attested_ms: int


class Instrument(Document, frozen=True):
    """What a holding holds: the head that all instruments share, and the `terms` of its family.

    Balances and `supply` count minor units (cash) or units (securities). For cash `code` is the currency, for
    a security its ISIN. `cash` is the instrument it is paid in. Empty `jurisdictions` (ISO 3166 numeric) or
    `classes` admit any. `treasury_holding` is the issuer's holding of it, `treasury_cash` of its cash,
    `pool_cash` the cash holding of its redemption pool, `redemption` the row of the agenda that pays it.
    """

    code: Name
    status: InstrumentStatus
    supply: int
    frozen: bool
    jurisdictions: Annotated[tuple[Jurisdiction, ...], Meta(max_length=JURISDICTIONS_MAX)]
    classes: Annotated[tuple[U8, ...], Meta(max_length=CLASSES_MAX)]
    cash: int
    programme: int
    terms_hash: Hash32
    register: Register
    reference: Text
    treasury_holding: int
    treasury_cash: int
    pool_cash: int
    redemption: int
    redeemed_ms: int
    terms: Terms


class Offer(Document, frozen=True):
    """A sale by the issuer at a fixed price; empty `vasps` admits every VASP with the right to take.

    `due` is its row of the agenda, which closes it.
    """

    instrument: int
    price_e4: int
    units: int
    taken: int
    cancelled: int
    opens_ms: int
    closes_ms: int
    vasps: Annotated[tuple[Index, ...], Meta(max_length=OFFER_VASPS_MAX)]
    status: OfferStatus
    due: int


class FundingDebit(Document, frozen=True):
    """The payment-system debit that funded one issue of cash; `destroyed` is what was reversed of it."""

    hash: Hash32
    instrument: int
    holding: int
    amount: int
    destroyed: int
    time_ms: int


ALL = 0  # as the amount of a restriction: everything that is there and comes later


class Restriction(Document, frozen=True):
    """Something held back until `ended_ms` (0: still open).

    A freeze holds ALL of its target, the one at `index` of its table. What frozen units were paid out as is
    held by a restriction of its own: `amount` of the holding, for as long as one of the freezes in `causes`
    is open. `proposal` is the one by which it was ordered, NONE where it follows from its causes.
    """

    kind: RestrictionKind
    target: Target
    index: int
    amount: int
    causes: Annotated[tuple[Index, ...], Meta(max_length=CAUSES_MAX)]
    proposal: int
    opened_ms: int
    ended_ms: int


class ChainRecord(Document, frozen=True):
    """The one record of the chain itself: what it is, its clock, and whether the market stands still."""

    name: Name
    development: bool
    genesis_ms: int
    treasury_institution: int
    clock_offset_ms: int
    market_frozen: bool
    genesis_hash: Hash32


class Version(Document, frozen=True):
    """A version of the protocol that blocks follow from `from_height` on, scheduled by block
    `scheduled_height` (0: by the genesis)."""

    version: int
    from_height: int
    status: VersionStatus
    scheduled_height: int
