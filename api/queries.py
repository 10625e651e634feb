"""Every question a node answers and its reply: declared once, for node, gateway and client.

A query or reply is a Struct, an array in msgpack on the node's socket (api.requests) and an object by field
names in JSON (api.objects). `QUERIES` maps each JSON-RPC method to its query and its reply. Every reply
names the height of the state it was read from. Times are integer milliseconds; an index is a position in a
table of the ledger; a list's `cursor` is the index to start from, its `next_cursor` None at the end.
"""

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from api.limits import PAGE_MAX, SUBMIT_MANY_MAX, WAIT_MS_MAX
from ledger.documents import (
    InstrumentKind,
    InstrumentStatus,
    OfferStatus,
    ProposalStatus,
    Register,
    Rule,
    Stage,
)
from ledger.limits import TRANSACTION_BYTES_MAX

PAGE_DEFAULT = 100

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Blob = Annotated[bytes, Meta(extra={"json": "base64"})]
TransactionBytes = Annotated[
    bytes, Meta(min_length=1, max_length=TRANSACTION_BYTES_MAX, extra={"json": "base64"})
]
Decimal = Annotated[int, Meta(ge=0, extra={"json": "decimal"})]  # below 2**64, as msgpack integers are
Index = Annotated[int, Meta(ge=0, le=2**32 - 2)]
Cursor = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
Height = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Message(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What queries and replies share: an array of fields in declared order, none left over."""


class TransactionStatus(IntEnum):
    """How far a transaction that this node knows has come."""

    PENDING = 1
    COMMITTED = 2


# --- chain ----------------------------------------------------------------------------------------------


class ChainStatus(Message, frozen=True):
    """Where the chain stands: its last block, its state, its clock, its validators."""


class ValidatorView(Message, frozen=True):
    """A voting node; its position in the list is its number in votes and headers."""

    node: Index
    name: str
    institution: str
    public_key: Key
    power: Decimal


class ChainStatusReply(Message, frozen=True):
    """`state_root` is the root of the state after block `height`; `ledger_time_ms` is the header's time plus
    the chain's clock offset, and the time by which everything on the ledger is judged."""

    height: Height
    chain: str
    development: bool
    genesis_hash: Hash
    block_id: Hash
    time_ms: Milliseconds
    ledger_time_ms: Milliseconds
    state_root: Hash
    market_frozen: bool
    validators: tuple[ValidatorView, ...]
    node: str
    node_version: str


class ChainBlock(Message, frozen=True):
    """One block: its header, its transactions and what became of each. Without a height, the latest."""

    block: Height | None = None


class BlockTransaction(Message, frozen=True):
    """A transaction in a block, with its result's code (0: applied)."""

    tx_id: Hash
    kind: str
    code: int
    name: str


class ChainBlockReply(Message, frozen=True):
    """`block` is the height of the block; `state_root` and `results_root` are those after `executed_height`;
    `proposer` is a position in that height's validator set."""

    height: Height
    block: Height
    block_id: Hash
    version: int
    chain: str
    time_ms: Milliseconds
    parent: Hash
    proposer: int
    txs_root: Hash
    evidence_root: Hash
    executed_height: Height
    state_root: Hash
    results_root: Hash
    validators_hash: Hash
    next_validators_hash: Hash
    params_hash: Hash
    evidence_count: int
    transactions: tuple[BlockTransaction, ...]


# --- transactions ---------------------------------------------------------------------------------------


class TransactionResult(Message, frozen=True):
    """What the ledger decided. `code` 0 is success; otherwise `name`, `field`, `value` and `rule` say why
    not. `created` are the indices of new records. `rows` holds one code for each row of a batch, and is
    empty when every row succeeded."""

    block: Height
    position: int
    code: int
    name: str
    field: str
    value: str
    rule: str
    created: tuple[int, ...]
    rows: tuple[int, ...]


class TxSubmit(Message, frozen=True):
    """Hand in a signed transaction for the chain of that genesis hash; a resend is safe."""

    chain: Hash
    tx: TransactionBytes


class TxSubmitReply(Message, frozen=True):
    """`accepted`: it waits for a block, or has been in one. `duplicate`: the node had it already; `result` is
    what became of it the first time, None while it waits. Only a result is final."""

    height: Height
    tx_id: Hash
    accepted: bool
    duplicate: bool
    result: TransactionResult | None


class TxSubmitMany(Message, frozen=True):
    """Hand in several signed transactions, each of which stands for itself."""

    chain: Hash
    txs: Annotated[tuple[TransactionBytes, ...], Meta(min_length=1, max_length=SUBMIT_MANY_MAX)]


class RefusalView(Message, frozen=True):
    """Why a transaction was not accepted."""

    code: int
    name: str
    field: str
    value: str
    rule: str


class SubmittedView(Message, frozen=True):
    """What became of one transaction of several; `tx_id` is None if its bytes hold no transaction."""

    tx_id: Hash | None
    accepted: bool
    duplicate: bool
    result: TransactionResult | None
    refusal: RefusalView | None


class TxSubmitManyReply(Message, frozen=True):
    """One item for each transaction, in the order given."""

    height: Height
    items: tuple[SubmittedView, ...]


class TxGet(Message, frozen=True):
    """A transaction that waits or is in a block, by its id."""

    tx_id: Hash


class TxWait(Message, frozen=True):
    """As tx_get, but wait up to `timeout_ms` for the transaction to be in a block."""

    tx_id: Hash
    timeout_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = 10_000


class TxReply(Message, frozen=True):
    """A transaction; `signers` is None for acts of officers, whose signatures their proposal shows."""

    height: Height
    tx_id: Hash
    status: TransactionStatus
    kind: str
    sequence: int
    valid_until: int
    signers: tuple[Index, ...] | None
    result: TransactionResult | None


# --- signers, accounts, holdings ------------------------------------------------------------------------


class SignerGet(Message, frozen=True):
    """An enrolled key, by its index or its public key: whose it is, and which sequences it has used."""

    signer: Index | Key


class SignerReply(Message, frozen=True):
    """`bitmap` has bit k set when sequence `highest` - k is used. `owner` is the index of the institution
    (role officer), VASP (role vasp) or account (role client) to which the key belongs."""

    height: Height
    signer: Index
    public_key: Key
    role: str
    owner: int
    officer_number: int
    highest: int
    bitmap: Decimal


class AccountGet(Message, frozen=True):
    """One account."""

    account: Index


class AccountReply(Message, frozen=True):
    """`vasp` is None for an institution's account, `owner` (a signer) None unless the client keeps his own
    key. `kyc` is a salted commitment; `kyc_until` in seconds; `jurisdiction` is ISO 3166 numeric."""

    height: Height
    account: Index
    type: str
    vasp: Index | None
    owner: Index | None
    kyc: Hash
    kyc_until: int
    jurisdiction: int
    investor_class: int
    frozen: bool
    closed: bool


class HoldingGet(Message, frozen=True):
    """One holding: what one account has of one instrument."""

    holding: Index


class HoldingView(Message, frozen=True):
    """A holding; `code` is the currency or the ISIN of its instrument."""

    holding: Index
    account: Index
    instrument: Index
    code: str
    balance: Decimal
    locked: Decimal
    frozen: bool


class HoldingReply(HoldingView, frozen=True):
    """A holding as of `height`."""

    height: Height


class HoldingList(Message, frozen=True):
    """Holdings of one account, or of one instrument, or all, by index."""

    account: Index | None = None
    instrument: Index | None = None
    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class HoldingListReply(Message, frozen=True):
    """A page of holdings."""

    height: Height
    items: tuple[HoldingView, ...]
    next_cursor: Cursor | None


# --- instruments, programmes, offers --------------------------------------------------------------------


class InstrumentGet(Message, frozen=True):
    """One instrument, by its index or its code (currency or ISIN)."""

    instrument: Index | Name


class InstrumentView(Message, frozen=True):
    """The terms and the state of an instrument. For cash, the fields from `cash` on are None or 0.

    `supply` and balances count minor units (cash) or units (securities); `face_minor` is one unit's face.
    `yield_e6` is the yearly yield times 10**6, `price_e4` the price per 100 times 10**4; days count from
    1970-01-01 at UTC+05:00. `pool_cash` is the cash holding from which holders are redeemed.
    """

    instrument: Index
    kind: InstrumentKind
    code: str
    status: InstrumentStatus
    supply: Decimal
    frozen: bool
    jurisdictions: tuple[int, ...]
    classes: tuple[int, ...]
    register: Register
    reference: str
    terms_hash: bytes
    cash: Index | None
    programme: Index | None
    face_minor: Decimal
    issue_day: int
    maturity_day: int
    maturity_ms: Milliseconds
    yield_e6: int
    price_e4: int
    treasury_holding: Index | None
    treasury_cash: Index | None
    pool_cash: Index | None
    redeemed_ms: Milliseconds


class InstrumentReply(InstrumentView, frozen=True):
    """An instrument as of `height`."""

    height: Height


class InstrumentList(Message, frozen=True):
    """Instruments by index."""

    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class InstrumentListReply(Message, frozen=True):
    """A page of instruments."""

    height: Height
    items: tuple[InstrumentView, ...]
    next_cursor: Cursor | None


class OfferList(Message, frozen=True):
    """Offers of the issuer, by index."""

    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class OfferView(Message, frozen=True):
    """An offer; empty `vasps` admits every VASP with the right to take. Of `units`, `taken` are sold and
    `cancelled` were left when the window closed."""

    offer: Index
    instrument: Index
    price_e4: int
    units: Decimal
    taken: Decimal
    cancelled: Decimal
    opens_ms: Milliseconds
    closes_ms: Milliseconds
    vasps: tuple[Index, ...]
    status: OfferStatus


class OfferListReply(Message, frozen=True):
    """A page of offers."""

    height: Height
    items: tuple[OfferView, ...]
    next_cursor: Cursor | None


class FixingView(Message, frozen=True):
    """An exchange rate attested by the central bank: PKR per USD times 10**4, as of a ledger time."""

    fixing: Index
    rate_e4: int
    as_of_ms: Milliseconds
    attested_ms: Milliseconds


class FixingGet(Message, frozen=True):
    """A fixing by its index; without one, the newest."""

    fixing: Index | None = None


class FixingReply(FixingView, frozen=True):
    """A fixing as of `height`; `fresh` says whether issues may be judged by it now."""

    height: Height
    fresh: bool


class ProgrammeGet(Message, frozen=True):
    """A borrowing programme, by its index or its name: cap, use, headroom, and the fixing they rest on."""

    programme: Index | Name


class ProgrammeReply(Message, frozen=True):
    """Amounts in US cents. `used_cents` is the face authorised and unredeemed at the newest fixing, rounded
    up; it and `headroom_cents` (never below zero) are None while there is no fixing within its age limit."""

    height: Height
    programme: Index
    name: str
    created_ms: Milliseconds
    cap_cents: Decimal
    used_cents: Decimal | None
    headroom_cents: Decimal | None
    fixing: FixingView | None


# --- VASPs, institutions, policies, parameters ----------------------------------------------------------


class VaspGet(Message, frozen=True):
    """One VASP, by its index or its name."""

    vasp: Index | Name


class VaspView(Message, frozen=True):
    """A VASP and where its admission stands; a time of 0 means not yet."""

    vasp: Index
    name: str
    title: str
    signer: Index
    stage: Stage
    noc_ms: Milliseconds
    goaml_ms: Milliseconds
    subsidiary_ms: Milliseconds
    subsidiary_name: str
    subsidiary_number: str
    applied_ms: Milliseconds
    applied_categories: tuple[str, ...]
    licensed_ms: Milliseconds
    categories: tuple[str, ...]
    accounts: Decimal
    frozen: bool


class VaspReply(VaspView, frozen=True):
    """A VASP as of `height`."""

    height: Height


class VaspList(Message, frozen=True):
    """VASPs by index."""

    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class VaspListReply(Message, frozen=True):
    """A page of VASPs."""

    height: Height
    items: tuple[VaspView, ...]
    next_cursor: Cursor | None


class InstitutionList(Message, frozen=True):
    """Institutions by index."""

    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class InstitutionView(Message, frozen=True):
    """An institution: it approves when `threshold` of its officers (signers) have signed."""

    institution: Index
    name: str
    title: str
    voting: bool
    threshold: int
    officers: tuple[Index, ...]
    treasury: Index | None


class InstitutionListReply(Message, frozen=True):
    """A page of institutions."""

    height: Height
    items: tuple[InstitutionView, ...]
    next_cursor: Cursor | None


class PolicyList(Message, frozen=True):
    """Policies by index: who must approve each kind of act."""

    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class PolicyView(Message, frozen=True):
    """Who must approve `act`: the names of the institutions, and how they are counted."""

    policy: Index
    act: str
    rule: Rule
    institutions: tuple[str, ...]


class PolicyListReply(Message, frozen=True):
    """A page of policies."""

    height: Height
    items: tuple[PolicyView, ...]
    next_cursor: Cursor | None


class ParameterGet(Message, frozen=True):
    """The value in force of one parameter of the ledger."""

    name: Name


class ParameterReply(Message, frozen=True):
    """`value` is a number, a text or a list of texts."""

    height: Height
    name: str
    value: int | str | tuple[str, ...]
    meaning: str


# --- proposals ------------------------------------------------------------------------------------------


class ProposalGet(Message, frozen=True):
    """A governed act on its way, with every signature under it."""

    proposal: Index


class SignatureView(Message, frozen=True):
    """One officer's signature: signer, institution, block, time and reason code. Under a freeze or a lift,
    `officer` and `institution` are None: which authority acted is not served."""

    officer: Index | None
    institution: str | None
    block: Height
    time_ms: Milliseconds
    reason: int


class ProposalView(Message, frozen=True):
    """A proposal; `payload` is the encoding of the act's payload. `code`, `name`, `field`, `value` and
    `rule` say why a FAILED one had no effect; `created` are the records an EXECUTED one made."""

    proposal: Index
    act: str
    kind: int
    payload: Blob
    institution: str | None
    status: ProposalStatus
    created_height: Height
    created_ms: Milliseconds
    expires_ms: Milliseconds
    decided_height: Height
    decided_ms: Milliseconds
    code: int
    name: str
    field: str
    value: str
    rule: str
    created: tuple[int, ...]
    approvals: tuple[SignatureView, ...]
    objections: tuple[SignatureView, ...]


class ProposalReply(ProposalView, frozen=True):
    """A proposal as of `height`."""

    height: Height


class ProposalList(Message, frozen=True):
    """Proposals by index, all or those of one status."""

    status: ProposalStatus | None = None
    cursor: Cursor = 0
    limit: Limit = PAGE_DEFAULT


class ProposalListReply(Message, frozen=True):
    """A page of proposals."""

    height: Height
    items: tuple[ProposalView, ...]
    next_cursor: Cursor | None


# --- proofs and health ----------------------------------------------------------------------------------


class ProofGet(Message, frozen=True):
    """The proof of one holding, to be verified offline against the genesis (`mohur verify`)."""

    holding: Index


class ProofReply(Message, frozen=True):
    """`proof` is the encoded proof (api.proofs); it shows the state after block `proven_height`."""

    height: Height
    holding: Index
    proven_height: Height
    proof: Blob


class NodeHealth(Message, frozen=True):
    """Whether the chain advances as this node sees it, and if not, whose votes are missing."""


class PeerView(Message, frozen=True):
    """A peer of this node: whether it is connected, and the height it last told of."""

    name: str
    institution: str
    connected: bool
    height: Height


class NodeHealthReply(Message, frozen=True):
    """`advancing` is false when no block was committed for longer than expected; then `reason` says what is
    known and `missing` names the validators whose votes this height lacks."""

    height: Height
    node: str
    advancing: bool
    reason: str
    syncing: bool
    voting: bool
    round: int
    last_block_age_ms: Milliseconds
    missing: tuple[str, ...]
    peers: tuple[PeerView, ...]
    mempool_transactions: int
    mempool_bytes: int


QUERIES: dict[str, tuple[type[Message], type[Message]]] = {
    "chain_status": (ChainStatus, ChainStatusReply),
    "chain_block": (ChainBlock, ChainBlockReply),
    "tx_submit": (TxSubmit, TxSubmitReply),
    "tx_submitMany": (TxSubmitMany, TxSubmitManyReply),
    "tx_get": (TxGet, TxReply),
    "tx_wait": (TxWait, TxReply),
    "signer_get": (SignerGet, SignerReply),
    "account_get": (AccountGet, AccountReply),
    "holding_get": (HoldingGet, HoldingReply),
    "holding_list": (HoldingList, HoldingListReply),
    "instrument_get": (InstrumentGet, InstrumentReply),
    "instrument_list": (InstrumentList, InstrumentListReply),
    "offer_list": (OfferList, OfferListReply),
    "programme_get": (ProgrammeGet, ProgrammeReply),
    "fixing_get": (FixingGet, FixingReply),
    "vasp_get": (VaspGet, VaspReply),
    "vasp_list": (VaspList, VaspListReply),
    "institution_list": (InstitutionList, InstitutionListReply),
    "policy_list": (PolicyList, PolicyListReply),
    "parameter_get": (ParameterGet, ParameterReply),
    "proposal_get": (ProposalGet, ProposalReply),
    "proposal_list": (ProposalList, ProposalListReply),
    "proof_get": (ProofGet, ProofReply),
    "node_health": (NodeHealth, NodeHealthReply),
}
