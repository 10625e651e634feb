"""From the node's state and block log to the replies of api.queries. Nothing here changes or waits.

`answer_read` looks at the state alone and belongs on the event loop, where the state stands still between
blocks; `answer_block` reads and decodes a whole block and belongs in a worker thread.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from api import queries as wire
from ledger import parameters, programmes
from ledger.codes import Code, Refused
from ledger.documents import NONE, Approval, Fixing, Instrument, InstrumentKind, Offer, Proposal, Vasp
from ledger.execution import Result
from ledger.kind import Lane
from ledger.rows import CLOSED, FROZEN, AccountType, Role
from ledger.rows import NONE as NO_ROW
from ledger.state import State
from ledger.transactions import Transaction, decode_transaction, id_and_kind
from node.limits import DECODED_BLOCKS_MAX, PAGE_BYTES_MAX
from primitives.codec import convert, decode
from primitives.hashing import ZERO_HASH
from storage.blocks import BlockStore
from storage.limits import RESULTS_BYTES_MAX
from wire.blocks import Header, decode_block

CONFIDENTIAL_ACTS = frozenset({"freeze", "lift"})  # which authority acted is not served

T = TypeVar("T")


class Archive:
    """The block log, with the last few blocks decoded: most questions about transactions are about them."""

    def __init__(self, blocks: BlockStore) -> None:
        self.blocks = blocks
        self._decoded: OrderedDict[int, tuple[tuple[bytes, ...], tuple[Result, ...]]] = OrderedDict()

    def find(self, tx_id: bytes) -> tuple[int, int] | None:
        """The height and position of a transaction whose results are stored, or None."""
        return self.blocks.find_transaction(tx_id)

    def transaction(self, height: int, position: int) -> tuple[bytes, Result]:
        """The bytes and the result of a transaction that `find` found. Raises Refused if they are pruned."""
        decoded = self._decoded.get(height)
        if decoded is None:
            stored = self.blocks.block(height)
            if stored is None:
                raise Refused(Code.NOT_FOUND, "block", height, "this node no longer keeps it")
            decoded = decode_block(stored).transactions, results_of(self.blocks, height)
            self._decoded[height] = decoded
            if len(self._decoded) > DECODED_BLOCKS_MAX:
                self._decoded.popitem(last=False)
        return decoded[0][position], decoded[1][position]


@dataclass(frozen=True, slots=True)
class View:
    """What there is to read: the state after the block of `header` (None before the first), and the log."""

    state: State
    archive: Archive
    header: Header | None
    genesis_hash: bytes
    node: str
    version: str

    @property
    def height(self) -> int:
        return 0 if self.header is None else self.header.height

    @property
    def time_ms(self) -> int:
        """Header time of the last block; that of the genesis before the first."""
        return self.state.chain_record.genesis_ms if self.header is None else self.header.time_ms

    @property
    def ledger_time_ms(self) -> int:
        return self.time_ms + self.state.chain_record.clock_offset_ms


def answer_read(view: View, query: wire.Message) -> wire.Message:
    """The reply to a query about the state. Raises Refused (not_found) for a record that is not there."""
    return _READS[type(query)](view, query)


# --- chain ----------------------------------------------------------------------------------------------


def _chain_status(view: View, query: wire.ChainStatus) -> wire.ChainStatusReply:
    state = view.state
    chain = state.chain_record
    return wire.ChainStatusReply(
        height=view.height,
        chain=chain.name,
        development=chain.development,
        genesis_hash=view.genesis_hash,
        block_id=ZERO_HASH if view.header is None else view.header.hash(),
        time_ms=view.time_ms,
        ledger_time_ms=view.ledger_time_ms,
        state_root=state.root(),
        market_frozen=chain.market_frozen,
        validators=tuple(
            wire.ValidatorView(
                node=index,
                name=node.name,
                institution=state.institutions[node.institution].name,
                public_key=node.public_key,
                power=node.power,
            )
            for index, node in enumerate(state.nodes)
            if node.power > 0
        ),
        node=view.node,
        node_version=view.version,
    )


def answer_block(blocks: BlockStore, height: int, query: wire.ChainBlock) -> wire.ChainBlockReply:
    """A block of the log, of the latest height (`height`) unless the query names one."""
    number = height if query.block is None else query.block
    stored = blocks.block(number) if 1 <= number <= height else None
    if stored is None:
        rule = f"this node has the blocks {blocks.base()} to {height}"
        raise Refused(Code.NOT_FOUND, "block", number, rule)
    block = decode_block(stored)
    results = results_of(blocks, number)
    header = block.header
    listed = []
    for position, raw in enumerate(block.transactions):
        identity, kind = id_and_kind(raw)
        code = Code(results[position].code)
        listed.append(wire.BlockTransaction(tx_id=identity, kind=kind, code=int(code), name=code.word))
    return wire.ChainBlockReply(
        height=height,
        block=number,
        block_id=header.hash(),
        version=header.version,
        chain=header.chain,
        time_ms=header.time_ms,
        parent=header.parent,
        proposer=header.proposer,
        txs_root=header.txs_root,
        evidence_root=header.evidence_root,
        executed_height=header.executed_height,
        state_root=header.state_root,
        results_root=header.results_root,
        validators_hash=header.validators_hash,
        next_validators_hash=header.next_validators_hash,
        params_hash=header.params_hash,
        evidence_count=len(block.evidence),
        transactions=tuple(listed),
    )


# --- transactions ---------------------------------------------------------------------------------------


def results_of(blocks: BlockStore, height: int) -> tuple[Result, ...]:
    """The results of the block of `height`, in the order of its transactions."""
    stored = blocks.results(height)
    if stored is None:
        raise Refused(Code.NOT_FOUND, "block", height, "its results are not stored yet")
    return convert(decode(stored, RESULTS_BYTES_MAX), tuple[Result, ...])


def committed(view: View, tx_id: bytes) -> wire.TxReply | None:
    """The transaction of that id, if it is in a block whose results are stored."""
    place = view.archive.find(tx_id)
    if place is None:
        return None
    raw, result = view.archive.transaction(*place)
    return _tx_reply(view, decode_transaction(raw), result_view(*place, result))


def pending(view: View, transaction: Transaction) -> wire.TxReply:
    """A transaction that waits for a block."""
    return _tx_reply(view, transaction, None)


def result_view(height: int, position: int, result: Result) -> wire.TransactionResult:
    return wire.TransactionResult(
        block=height,
        position=position,
        code=result.code,
        name=Code(result.code).word,
        field=result.field,
        value=result.value,
        rule=result.rule,
        created=result.created,
        rows=tuple(
            int.from_bytes(result.rows[at : at + 2], "little") for at in range(0, len(result.rows), 2)
        ),
    )


def _tx_reply(view: View, transaction: Transaction, result: wire.TransactionResult | None) -> wire.TxReply:
    kind = transaction.definition
    status = wire.TransactionStatus.PENDING if result is None else wire.TransactionStatus.COMMITTED
    is_act = kind.lane is Lane.ACTS
    if is_act and result is not None and result.field == "signers":
        result = replace(result, value="")  # which officer signed is not told of an act, nor by its refusal
    return wire.TxReply(
        height=view.height,
        tx_id=transaction.id,
        status=status,
        kind=kind.name,
        sequence=transaction.sequence,
        valid_until=transaction.valid_until,
        signers=None if is_act else transaction.signers,
        result=result,
    )


# --- signers, accounts, holdings ------------------------------------------------------------------------

_ROLES = {Role.OFFICER: "officer", Role.SETTLEMENT: "vasp", Role.OWNER: "client"}


def _signer_get(view: View, query: wire.SignerGet) -> wire.SignerReply:
    signers = view.state.signers
    if isinstance(query.signer, bytes):
        index = signers.find(query.signer)
        if index is None:
            raise Refused(Code.NOT_FOUND, "signer", query.signer, "this key is not enrolled")
    else:
        index = query.signer
    row = signers.require(index, "signer")
    return wire.SignerReply(
        height=view.height,
        signer=index,
        public_key=row.public_key,
        role=_ROLES[Role(row.role)],
        owner=row.owner,
        officer_number=row.number,
        highest=row.highest,
        bitmap=row.bitmap,
    )


def _account_get(view: View, query: wire.AccountGet) -> wire.AccountReply:
    row = view.state.accounts.require(query.account, "account")
    return wire.AccountReply(
        height=view.height,
        account=query.account,
        type=AccountType(row.type).name.lower(),
        vasp=None if row.vasp == NO_ROW else row.vasp,
        owner=row.owner - 1 if row.owner else None,
        kyc=row.kyc,
        kyc_until=row.kyc_until,
        jurisdiction=row.jurisdiction,
        investor_class=row.investor_class,
        frozen=bool(row.flags & FROZEN),
        closed=bool(row.flags & CLOSED),
    )


def _holding_get(view: View, query: wire.HoldingGet) -> wire.HoldingReply:
    view.state.holdings.require(query.holding, "holding")
    item = _holding(view.state, query.holding)
    return wire.HoldingReply(height=view.height, **_fields(item))


def _holding_list(view: View, query: wire.HoldingList) -> wire.HoldingListReply:
    state = view.state
    if query.account is not None:
        found = _holdings_of_account(state, query)
    elif query.instrument is not None:
        state.instruments.require(query.instrument, "instrument")
        found = _holdings_of_instrument(state, query)
    else:
        found = iter(range(query.cursor, len(state.holdings)))
    indices, next_cursor = _page(found, query.limit)
    items = tuple(_holding(state, index) for index in indices)
    return wire.HoldingListReply(height=view.height, items=items, next_cursor=next_cursor)


def _holdings_of_account(state: State, query: wire.HoldingList) -> Iterator[int]:
    """Along the account's own list, which is as long as the number of its instruments; by index."""
    if query.account is None:
        raise TypeError("holdings are paged by account")
    found = []
    index = state.accounts.require(query.account, "account").first_holding
    while index != NO_ROW:
        row = state.holdings[index]
        if index >= query.cursor and query.instrument in (None, row.instrument):
            found.append(index)
        index = row.next_holding
    return iter(sorted(found))


def _holdings_of_instrument(state: State, query: wire.HoldingList) -> Iterator[int]:
    column = state.holdings.column("instrument")[query.cursor :]
    matching = (column == query.instrument).nonzero()[0][: query.limit + 1]
    return (int(offset) + query.cursor for offset in matching)


def _holding(state: State, index: int) -> wire.HoldingView:
    row = state.holdings[index]
    return wire.HoldingView(
        holding=index,
        account=row.account,
        instrument=row.instrument,
        code=state.instruments[row.instrument].code,
        balance=row.balance,
        locked=row.locked,
        frozen=bool(row.flags & FROZEN),
    )


# --- instruments, programmes, offers --------------------------------------------------------------------


def _instrument_get(view: View, query: wire.InstrumentGet) -> wire.InstrumentReply:
    index = _find(view.state.instruments, query.instrument, "instrument")
    item = _instrument(index, view.state.instruments[index])
    return wire.InstrumentReply(height=view.height, **_fields(item))


def _instrument_list(view: View, query: wire.InstrumentList) -> wire.InstrumentListReply:
    items, next_cursor = _documents(view.state.instruments, query.cursor, query.limit, _instrument)
    return wire.InstrumentListReply(height=view.height, items=items, next_cursor=next_cursor)


def _instrument(index: int, instrument: Instrument) -> wire.InstrumentView:
    cash = instrument.kind is InstrumentKind.CASH
    return wire.InstrumentView(
        instrument=index,
        kind=instrument.kind,
        code=instrument.code,
        status=instrument.status,
        supply=instrument.supply,
        frozen=instrument.frozen,
        jurisdictions=instrument.jurisdictions,
        classes=instrument.classes,
        register=instrument.register,
        reference=instrument.reference,
        terms_hash=instrument.terms_hash,
        cash=None if cash else instrument.cash,
        programme=None if cash else _index(instrument.programme),
        face_minor=instrument.face_minor,
        issue_day=instrument.issue_day,
        maturity_day=instrument.maturity_day,
        maturity_ms=instrument.maturity_ms,
        yield_e6=instrument.yield_e6,
        price_e4=instrument.price_e4,
        treasury_holding=_index(instrument.treasury_holding),
        treasury_cash=_index(instrument.treasury_cash),
        pool_cash=_index(instrument.pool_cash),
        redeemed_ms=instrument.redeemed_ms,
    )


def _offer_list(view: View, query: wire.OfferList) -> wire.OfferListReply:
    items, next_cursor = _documents(view.state.offers, query.cursor, query.limit, _offer)
    return wire.OfferListReply(height=view.height, items=items, next_cursor=next_cursor)


def _offer(index: int, offer: Offer) -> wire.OfferView:
    return wire.OfferView(
        offer=index,
        instrument=offer.instrument,
        price_e4=offer.price_e4,
        units=offer.units,
        taken=offer.taken,
        cancelled=offer.cancelled,
        opens_ms=offer.opens_ms,
        closes_ms=offer.closes_ms,
        vasps=offer.vasps,
        status=offer.status,
    )


def _fixing_get(view: View, query: wire.FixingGet) -> wire.FixingReply:
    fixings = view.state.fixings
    if query.fixing is None and not len(fixings):
        raise Refused(Code.NOT_FOUND, "fixing", "none", "no fixing has been attested yet")
    index = len(fixings) - 1 if query.fixing is None else query.fixing
    fixing = fixings.require(index, "fixing")
    fresh = programmes.is_fresh(view.state, fixing, view.ledger_time_ms)
    return wire.FixingReply(height=view.height, fresh=fresh, **_fields(_fixing(index, fixing)))


def _fixing(index: int, fixing: Fixing) -> wire.FixingView:
    return wire.FixingView(
        fixing=index, rate_e4=fixing.rate_e4, as_of_ms=fixing.as_of_ms, attested_ms=fixing.attested_ms
    )


def _programme_get(view: View, query: wire.ProgrammeGet) -> wire.ProgrammeReply:
    state = view.state
    index = _find(state.programmes, query.programme, "programme")
    programme = state.programmes[index]
    fixing = programmes.newest_fixing(state)
    used = None
    if fixing is not None and programmes.is_fresh(state, fixing, view.ledger_time_ms):
        used = programmes.used_cents(state, index, fixing)
    return wire.ProgrammeReply(
        height=view.height,
        programme=index,
        name=programme.name,
        created_ms=programme.created_ms,
        cap_cents=programme.cap_cents,
        used_cents=used,
        headroom_cents=None if used is None else max(0, programme.cap_cents - used),
        fixing=None if fixing is None else _fixing(len(state.fixings) - 1, fixing),
    )


# --- VASPs, institutions, policies, parameters ----------------------------------------------------------


def _vasp_get(view: View, query: wire.VaspGet) -> wire.VaspReply:
    index = _find(view.state.vasps, query.vasp, "vasp")
    return wire.VaspReply(height=view.height, **_fields(_vasp(index, view.state.vasps[index])))


def _vasp_list(view: View, query: wire.VaspList) -> wire.VaspListReply:
    items, next_cursor = _documents(view.state.vasps, query.cursor, query.limit, _vasp)
    return wire.VaspListReply(height=view.height, items=items, next_cursor=next_cursor)


def _vasp(index: int, vasp: Vasp) -> wire.VaspView:
    return wire.VaspView(
        vasp=index,
        name=vasp.name,
        title=vasp.title,
        signer=vasp.signer,
        stage=vasp.stage,
        noc_ms=vasp.noc_ms,
        goaml_ms=vasp.goaml_ms,
        subsidiary_ms=vasp.subsidiary_ms,
        subsidiary_name=vasp.subsidiary_name,
        subsidiary_number=vasp.subsidiary_number,
        applied_ms=vasp.applied_ms,
        applied_categories=vasp.applied_categories,
        licensed_ms=vasp.licensed_ms,
        categories=vasp.categories,
        accounts=vasp.accounts,
        frozen=vasp.frozen,
    )


def _institution_list(view: View, query: wire.InstitutionList) -> wire.InstitutionListReply:
    def item(index: int, institution: Any) -> wire.InstitutionView:
        return wire.InstitutionView(
            institution=index,
            name=institution.name,
            title=institution.title,
            voting=institution.voting,
            threshold=institution.threshold,
            officers=institution.officers,
            treasury=_index(institution.treasury),
        )

    items, next_cursor = _documents(view.state.institutions, query.cursor, query.limit, item)
    return wire.InstitutionListReply(height=view.height, items=items, next_cursor=next_cursor)


def _policy_list(view: View, query: wire.PolicyList) -> wire.PolicyListReply:
    institutions = view.state.institutions

    def item(index: int, policy: Any) -> wire.PolicyView:
        names = tuple(institutions[number].name for number in policy.institutions)
        return wire.PolicyView(policy=index, act=policy.act, rule=policy.rule, institutions=names)

    items, next_cursor = _documents(view.state.policies, query.cursor, query.limit, item)
    return wire.PolicyListReply(height=view.height, items=items, next_cursor=next_cursor)


def _parameter_get(view: View, query: wire.ParameterGet) -> wire.ParameterReply:
    index = view.state.parameters.find(query.name)
    if index is None:
        known = ", ".join(parameters.BOUNDS)
        raise Refused(Code.NOT_FOUND, "name", query.name, f"must be one of {known}")
    value = view.state.parameters[index].value
    meaning = parameters.BOUNDS[query.name].meaning
    return wire.ParameterReply(height=view.height, name=query.name, value=value, meaning=meaning)


# --- proposals ------------------------------------------------------------------------------------------


def _proposal_get(view: View, query: wire.ProposalGet) -> wire.ProposalReply:
    proposal = view.state.proposals.require(query.proposal, "proposal")
    item = _proposal(view.state, query.proposal, proposal)
    return wire.ProposalReply(height=view.height, **_fields(item))


def _proposal_list(view: View, query: wire.ProposalList) -> wire.ProposalListReply:
    proposals = view.state.proposals
    matching = (
        index
        for index in range(query.cursor, len(proposals))
        if query.status in (None, proposals[index].status)
    )
    items: list[wire.ProposalView] = []
    size = 0
    next_cursor = None
    for index in matching:
        size += len(proposals[index].payload)
        if len(items) == query.limit or (items and size > PAGE_BYTES_MAX):
            next_cursor = index
            break
        items.append(_proposal(view.state, index, proposals[index]))
    return wire.ProposalListReply(height=view.height, items=tuple(items), next_cursor=next_cursor)


def _proposal(state: State, index: int, proposal: Proposal) -> wire.ProposalView:
    confidential = proposal.act in CONFIDENTIAL_ACTS
    return wire.ProposalView(
        proposal=index,
        act=proposal.act,
        kind=proposal.kind,
        payload=proposal.payload,
        institution=None if confidential else state.institutions[proposal.institution].name,
        status=proposal.status,
        created_height=proposal.created_height,
        created_ms=proposal.created_ms,
        expires_ms=proposal.expires_ms,
        decided_height=proposal.decided_height,
        decided_ms=proposal.decided_ms,
        code=proposal.code,
        name=Code(proposal.code).word,
        field=proposal.field,
        value=proposal.value,
        rule=proposal.rule,
        created=proposal.created,
        approvals=_signatures(state, proposal.approvals, confidential),
        objections=_signatures(state, proposal.objections, confidential),
    )


def _signatures(
    state: State, approvals: Iterable[Approval], confidential: bool
) -> tuple[wire.SignatureView, ...]:
    return tuple(
        wire.SignatureView(
            officer=None if confidential else approval.officer,
            institution=None if confidential else state.institutions[approval.institution].name,
            block=approval.height,
            time_ms=approval.time_ms,
            reason=approval.reason,
        )
        for approval in approvals
    )


# --- tables ---------------------------------------------------------------------------------------------


def _documents(
    table: Any, cursor: int, limit: int, item: Callable[[int, Any], T]
) -> tuple[tuple[T, ...], int | None]:
    """A page of a document table, and where the next one starts."""
    indices, next_cursor = _page(iter(range(cursor, len(table))), limit)
    return tuple(item(index, table[index]) for index in indices), next_cursor


def _page(indices: Iterator[int], limit: int) -> tuple[list[int], int | None]:
    page: list[int] = []
    for index in indices:
        if len(page) == limit:
            return page, index
        page.append(index)
    return page, None


def _find(table: Any, key: int | str, field: str) -> int:
    """The index of a document named by index or by key. Raises Refused (not_found)."""
    if isinstance(key, str):
        found: int | None = table.find(key)
        if found is None:
            raise Refused(Code.NOT_FOUND, field, key, f"names no record of {table.name}")
        return found
    table.require(key, field)
    return key


def _index(index: int) -> int | None:
    return None if index == NONE else index


def _fields(view: wire.Message) -> dict[str, Any]:
    return {name: getattr(view, name) for name in view.__struct_fields__}


_READS: dict[type[wire.Message], Callable[[View, Any], wire.Message]] = {
    wire.ChainStatus: _chain_status,
    wire.SignerGet: _signer_get,
    wire.AccountGet: _account_get,
    wire.HoldingGet: _holding_get,
    wire.HoldingList: _holding_list,
    wire.InstrumentGet: _instrument_get,
    wire.InstrumentList: _instrument_list,
    wire.OfferList: _offer_list,
    wire.ProgrammeGet: _programme_get,
    wire.FixingGet: _fixing_get,
    wire.VaspGet: _vasp_get,
    wire.VaspList: _vasp_list,
    wire.InstitutionList: _institution_list,
    wire.PolicyList: _policy_list,
    wire.ParameterGet: _parameter_get,
    wire.ProposalGet: _proposal_get,
    wire.ProposalList: _proposal_list,
}
