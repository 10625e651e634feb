"""Transfers: their rules, one by one or thousands at a time, with identical verdicts.

`check_transfer` is the rule for one transfer. A batch asks the same questions of whole columns in the same
order (`_static_codes`); then, if no sender can run short whatever the order, all rows apply at once, and
otherwise the balances are walked row by row. The first rule that fails gives the code.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from ledger import parameters, rights, terms
from ledger.balances import available, move_many
from ledger.codes import Code, InvariantError, Refused
from ledger.documents import NONE, Instrument, InstrumentStatus, Target, Vasp
from ledger.events import EVENT
from ledger.fields import FieldName
from ledger.kind import Context, RowCodes
from ledger.limits import AMOUNT_MAX, BATCH_ROWS_MAX, HOLDING_REST_MS
from ledger.postings import Movement
from ledger.rows import (
    CLOSED,
    CUSTODIAL,
    FROZEN,
    HOLDING,
    NO_ROW,
    TRANSFER_ROW,
    Account,
    AccountType,
    Holding,
)
from ledger.state import NUMBERS, TABLES, State
from ledger.tables import Indices

_KEPT_BY_VASP = (AccountType.CUSTODIAL, AccountType.CLIENT_MONEY)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)
_HOLDINGS = NUMBERS["holdings"]
_INSTRUMENT = TABLES[_HOLDINGS].watched_fields.index("instrument") + 1
_LAST_SECOND = 2**32 - 2  # rows.FOREVER is later than any time

Columns = npt.NDArray[Any]


class Mover(NamedTuple):
    """Whose key moves a holding: the signer's index, and the VASP it settles for or rows.NO_ROW."""

    signer: int
    vasp: int


def mover_of(ctx: Context) -> Mover:
    """The mover behind a transaction of one signer."""
    return Mover(ctx.signer, ctx.signing_vasp())


# --- one transfer


def check_transfer(state: State, mover: Mover, time_ms: int, source: int, target: int, amount: int) -> None:
    """Refuse the transfer of `amount` from holding `source` to holding `target`, or return."""
    from_holding = state.holdings.require(source, "from_holding")
    to_holding = state.holdings.require(target, "to_holding")
    if not 1 <= amount <= AMOUNT_MAX:
        raise Refused(Code.MALFORMED, "amount", amount)
    if source == target:
        raise Refused(Code.SAME_HOLDING, "to_holding", target)
    if from_holding.instrument != to_holding.instrument:
        raise Refused(Code.INSTRUMENT_MISMATCH, "to_holding", target, from_holding.instrument)
    instrument = state.instruments[from_holding.instrument]
    from_account = state.accounts[from_holding.account]
    to_account = state.accounts[to_holding.account]
    check_custody(mover, from_account, "from_holding", source)
    if to_account.type not in (*_KEPT_BY_VASP, AccountType.SELF_CUSTODY):
        raise Refused(Code.NOT_AUTHORISED, "to_holding", target)
    check_open(instrument, time_ms)
    check_unfrozen(state, from_holding, from_account, instrument, "from_holding")
    check_unfrozen(state, to_holding, to_account, instrument, "to_holding")
    if from_account.flags & CLOSED:
        raise Refused(Code.WRONG_STATUS, "from_holding", source)
    if to_account.flags & CLOSED:
        raise Refused(Code.WRONG_STATUS, "to_holding", target)
    _check_rights(state, from_account, to_account, instrument)
    check_kyc(from_account, time_ms, "from_holding")
    check_eligible(to_account, instrument, time_ms, "to_holding")
    if amount > available(from_holding):
        raise Refused(Code.OVERDRAFT, "amount", amount, available(from_holding))


def check_custody(mover: Mover, account: Account, field: FieldName, value: int) -> None:
    """Refuse unless `mover` may move what `account` holds."""
    if account.type in _KEPT_BY_VASP:
        allowed = mover.vasp != NO_ROW and account.vasp == mover.vasp
    elif account.type == AccountType.SELF_CUSTODY:
        allowed = account.owner != CUSTODIAL and account.owner == mover.signer + 1
    else:
        allowed = False
    if not allowed:
        raise Refused(Code.NOT_AUTHORISED, field, value, account.type)


def check_open(instrument: Instrument, time_ms: int) -> None:
    """Refuse if the instrument has matured, or is no longer active."""
    if instrument.status is not InstrumentStatus.ACTIVE:
        raise Refused(Code.TRANSFERS_CLOSED, "instrument.status", instrument.status)
    closes_ms = terms.closes_ms(instrument.terms)
    if closes_ms and time_ms >= closes_ms:
        raise Refused(Code.TRANSFERS_CLOSED, "instrument.maturity_ms", closes_ms)


def check_unfrozen(
    state: State, holding: Holding, account: Account, instrument: Instrument, field: FieldName
) -> None:
    """Refuse if the market, the instrument, the holding, its account or its VASP is frozen."""
    if state.chain_record.market_frozen:
        raise Refused(Code.FROZEN, field, Target.MARKET)
    if instrument.frozen:
        raise Refused(Code.FROZEN, field, Target.INSTRUMENT)
    if holding.flags & FROZEN:
        raise Refused(Code.FROZEN, field, Target.HOLDING)
    if account.flags & FROZEN:
        raise Refused(Code.FROZEN, field, Target.ACCOUNT)
    if account.vasp != NO_ROW and state.vasps[account.vasp].frozen:
        raise Refused(Code.FROZEN, field, Target.VASP)


def check_kyc(account: Account, time_ms: int, field: FieldName) -> None:
    """Refuse if the account's KYC has ended."""
    if account.kyc_until <= _seconds(time_ms):
        raise Refused(Code.INELIGIBLE, field, account.kyc_until)


def check_eligible(account: Account, instrument: Instrument, time_ms: int, field: FieldName) -> None:
    """Refuse if the account may not receive the instrument: KYC, jurisdiction, investor class."""
    check_kyc(account, time_ms, field)
    if instrument.jurisdictions and account.jurisdiction not in instrument.jurisdictions:
        raise Refused(Code.INELIGIBLE, "account.jurisdiction", account.jurisdiction, instrument.code)
    if instrument.classes and account.investor_class not in instrument.classes:
        raise Refused(Code.INELIGIBLE, "account.investor_class", account.investor_class, instrument.code)


def _check_rights(state: State, sender: Account, receiver: Account, instrument: Instrument) -> None:
    """What the VASPs on both sides may do. Self-custody needs no service of its VASP to send."""
    services = parameters.names(state, "aml_registered_services")
    act = terms.right(instrument.terms)
    if sender.type in _KEPT_BY_VASP:
        inside = receiver.type in _KEPT_BY_VASP and sender.vasp == receiver.vasp
        rights.require(state.vasps[sender.vasp], act if inside else rights.EXIT, services)
    if receiver.type in _KEPT_BY_VASP:
        rights.require(state.vasps[receiver.vasp], act, services)


def _seconds(time_ms: int) -> int:
    return min(time_ms // 1_000, _LAST_SECOND)


# --- opening holdings


def open_holding(state: State, account: int, instrument: int, time_ms: int) -> int:
    """An empty holding in the account's list; its index. One per account and instrument: the caller has
    looked (`State.holding_of`).

    The first finished holding from the head of the list is taken over, where it stands; only if there is none
    a row is added at the head. So a list is never longer than what was held at one time.
    """
    for old in state.holdings_of(account):
        if is_finished(state, old, time_ms):
            return take_over(state, old, instrument)
    return add_holding(state, account, instrument)


def take_over(state: State, old: int, instrument: int) -> int:
    """Make a finished holding one of `instrument`, where it stands in its list; its index."""
    ended = int(state.holdings.field(old, "instrument"))
    if state.instruments[ended].treasury_holding == old:
        state.instruments.replace(ended, replace(state.instruments[ended], treasury_holding=NONE))
    state.holdings.set_field(old, "instrument", instrument)
    return old


def taken_over(events: bytes) -> Columns:
    """Of these events those of holdings that were taken over: `index` is the holding, and until then, `after`
    so many postings of the block, it belonged to the instrument `old`."""
    rows: Columns = np.frombuffer(events, EVENT)
    chosen: Columns = rows[(rows["table"] == _HOLDINGS) & (rows["field"] == _INSTRUMENT)]
    return chosen


def add_holding(state: State, account: int, instrument: int) -> int:
    """A new empty holding at the head of the account's list; its index."""
    first = int(state.accounts.field(account, "first_holding"))
    index = state.holdings.append(Holding(account, instrument, 0, 0, first, 0))
    state.accounts.set_field(account, "first_holding", index)
    return index


def is_finished(state: State, holding: int, time_ms: int) -> bool:
    """Whether a holding is empty and free, and its instrument has ended."""
    row = state.holdings[holding]
    if row.balance or row.locked or row.flags:
        return False
    return is_ended(state.instruments[row.instrument], time_ms)


def is_ended(instrument: Instrument, time_ms: int) -> bool:
    """Whether it was redeemed so long ago that no transaction signed before can still be under way."""
    rested = instrument.redeemed_ms + HOLDING_REST_MS <= time_ms
    return instrument.status is InstrumentStatus.REDEEMED and rested


def open_holdings(state: State, accounts: Indices, instrument: int) -> Indices:
    """A new empty holding at the head of the list of each of these different accounts; their indices."""
    opened = np.zeros(len(accounts), HOLDING)
    opened["account"] = accounts
    opened["instrument"] = instrument
    opened["next_holding"] = state.accounts.column("first_holding")[accounts]
    first = state.holdings.extend(opened)
    indices = np.arange(first, first + len(accounts), dtype=np.int64)
    state.accounts.set_column("first_holding", accounts, indices.astype(np.uint32))
    return indices


# --- batches


def batch_rows(data: bytes) -> Columns:
    """The rows of a batch. Raises Refused(malformed or limit_exceeded)."""
    width = TRANSFER_ROW.itemsize
    if not data or len(data) % width:
        raise Refused(Code.MALFORMED, "rows", len(data), width)
    if len(data) > BATCH_ROWS_MAX * width:
        raise Refused(Code.LIMIT_EXCEEDED, "rows", len(data) // width, BATCH_ROWS_MAX)
    return np.frombuffer(data, TRANSFER_ROW)


def settle_batch(state: State, mover: Mover, time_ms: int, batch: Columns) -> RowCodes:
    """Apply every row that the rules allow, as if one after another; each row's code."""
    codes = _static_codes(state, mover, time_ms, batch)
    passing = codes == 0
    rows = batch if passing.all() else batch[passing]
    sources, targets, amounts = _columns(rows)
    if not _covered_in_any_order(state, sources, amounts):
        verdicts = _ordered_codes(state, sources, targets, amounts)
        codes[np.flatnonzero(passing)] = verdicts
        kept = verdicts == 0
        sources, targets, amounts = sources[kept], targets[kept], amounts[kept]
    move_many(state, Movement.TRANSFER, sources, targets, amounts)
    return codes


def _columns(batch: Columns) -> tuple[Indices, Indices, Columns]:
    return batch["from"].astype(np.int64), batch["to"].astype(np.int64), np.ascontiguousarray(batch["amount"])


class _Verdicts:
    """Each row's code so far: that of the first rule that refused it."""

    def __init__(self, count: int) -> None:
        self.codes: RowCodes = np.zeros(count, np.uint16)

    def refuse(self, wrong: Columns, code: Code) -> None:
        """Give `code` to the rows that are `wrong` and had passed until now."""
        _must_be(wrong, np.bool_)
        if wrong.any():
            self.codes[wrong & (self.codes == 0)] = code


class _Sides(NamedTuple):
    """Who stands on the two sides of each row, what moves, and what is said once for all rows."""

    sources: Indices
    targets: Indices
    instruments: Columns
    senders: Indices
    receivers: Indices
    sender_vasps: Columns
    receiver_vasps: Columns
    sender_types: Columns
    receiver_types: Columns
    sender_kept: Columns  # by its VASP
    receiver_kept: Columns
    papers: dict[int, Instrument]  # every instrument that moves
    vasps: list[int]  # every VASP on either side


def _static_codes(state: State, mover: Mover, time_ms: int, batch: Columns) -> RowCodes:
    """Each row's code by all rules but the balance, in the order of `check_transfer`."""
    verdicts = _Verdicts(len(batch))
    count = len(state.holdings)
    if count == 0:
        verdicts.codes[:] = Code.NOT_FOUND
        return verdicts.codes
    sources, targets, amounts = _columns(batch)
    missing_source, missing_target = sources >= count, targets >= count
    verdicts.refuse(missing_source | missing_target, Code.NOT_FOUND)
    sources[missing_source] = 0
    targets[missing_target] = 0
    verdicts.refuse((amounts < np.uint64(1)) | (amounts > np.uint64(AMOUNT_MAX)), Code.MALFORMED)
    verdicts.refuse(batch["from"] == batch["to"], Code.SAME_HOLDING)
    sides = _sides(state, sources, targets)
    verdicts.refuse(
        sides.instruments != state.holdings.column("instrument")[targets], Code.INSTRUMENT_MISMATCH
    )
    _refuse_by_custody(verdicts, state, mover, sides)
    _refuse_by_status(verdicts, state, time_ms, sides)
    _refuse_by_rights(verdicts, state, sides)
    _refuse_by_eligibility(verdicts, state, time_ms, sides)
    return verdicts.codes


def _sides(state: State, sources: Indices, targets: Indices) -> _Sides:
    """What the rules ask of both sides, gathered once."""
    holder = state.holdings.column("account")
    keeper, types = state.accounts.column("vasp"), state.accounts.column("type")
    instruments = state.holdings.column("instrument")[sources]
    senders, receivers = holder[sources].astype(np.int64), holder[targets].astype(np.int64)
    sender_vasps, receiver_vasps = keeper[senders], keeper[receivers]
    sender_types, receiver_types = types[senders], types[receivers]
    vasps = np.unique(np.concatenate((sender_vasps, receiver_vasps))).tolist()
    return _Sides(
        sources=sources,
        targets=targets,
        instruments=instruments,
        senders=senders,
        receivers=receivers,
        sender_vasps=sender_vasps,
        receiver_vasps=receiver_vasps,
        sender_types=sender_types,
        receiver_types=receiver_types,
        sender_kept=_kept_by_vasp(sender_types),
        receiver_kept=_kept_by_vasp(receiver_types),
        papers={index: state.instruments[index] for index in np.unique(instruments).tolist()},
        vasps=[index for index in vasps if index != NO_ROW],
    )


def _refuse_by_custody(verdicts: _Verdicts, state: State, mover: Mover, sides: _Sides) -> None:
    """Refuse what the mover may not send, and accounts that no transfer reaches."""
    if mover.vasp == NO_ROW:
        own = state.accounts.column("owner")[sides.senders] == mover.signer + 1
        self_custody = sides.sender_types == AccountType.SELF_CUSTODY
        verdicts.refuse(~(self_custody & own), Code.NOT_AUTHORISED)
    else:
        verdicts.refuse(~(sides.sender_kept & (sides.sender_vasps == mover.vasp)), Code.NOT_AUTHORISED)
    reached = sides.receiver_kept | (sides.receiver_types == AccountType.SELF_CUSTODY)
    verdicts.refuse(~reached, Code.NOT_AUTHORISED)


def _refuse_by_status(verdicts: _Verdicts, state: State, time_ms: int, sides: _Sides) -> None:
    """Refuse instruments whose transfers are closed, whatever is frozen, and closed accounts."""
    holdings, accounts = state.holdings.column("flags"), state.accounts.column("flags")
    closed = [index for index, paper in sides.papers.items() if _is_closed(paper, time_ms)]
    if closed:
        verdicts.refuse(np.isin(sides.instruments, np.array(closed, np.uint32)), Code.TRANSFERS_CLOSED)
    if state.chain_record.market_frozen:
        verdicts.refuse(np.ones(len(sides.instruments), np.bool_), Code.FROZEN)
    frozen = [index for index, paper in sides.papers.items() if paper.frozen]
    if frozen:
        verdicts.refuse(np.isin(sides.instruments, np.array(frozen, np.uint32)), Code.FROZEN)
    holding_flags = holdings[sides.sources] | holdings[sides.targets]
    account_flags = accounts[sides.senders] | accounts[sides.receivers]
    verdicts.refuse(((holding_flags | account_flags) & FROZEN) != 0, Code.FROZEN)
    frozen_vasps = [index for index in sides.vasps if state.vasps[index].frozen]
    if frozen_vasps:
        flagged = np.array(frozen_vasps, np.uint32)
        either = np.isin(sides.sender_vasps, flagged) | np.isin(sides.receiver_vasps, flagged)
        verdicts.refuse(either, Code.FROZEN)
    verdicts.refuse((account_flags & CLOSED) != 0, Code.WRONG_STATUS)


def _refuse_by_rights(verdicts: _Verdicts, state: State, sides: _Sides) -> None:
    """Refuse what the VASPs on both sides may not do (`_check_rights`)."""
    services = parameters.names(state, "aml_registered_services")
    rights_of = {index: terms.right(paper.terms) for index, paper in sides.papers.items()}

    def lacking(act: str) -> Columns:
        without = [index for index in sides.vasps if not _has_right(state.vasps[index], act, services)]
        return np.array(without, np.uint32)

    inside = sides.receiver_kept & (sides.sender_vasps == sides.receiver_vasps)
    for act in sorted(set(rights_of.values())):
        without = lacking(act)
        if len(without):
            moved_so = [index for index, right in rights_of.items() if right == act]
            of_act = np.isin(sides.instruments, np.array(moved_so, np.uint32))
            sent = sides.sender_kept & inside & of_act & np.isin(sides.sender_vasps, without)
            verdicts.refuse(sent, Code.STAGE_NOT_REACHED)
            received = sides.receiver_kept & of_act & np.isin(sides.receiver_vasps, without)
            verdicts.refuse(received, Code.STAGE_NOT_REACHED)
    without = lacking(rights.EXIT)
    if len(without):
        leaving = sides.sender_kept & ~inside
        verdicts.refuse(leaving & np.isin(sides.sender_vasps, without), Code.STAGE_NOT_REACHED)


def _refuse_by_eligibility(verdicts: _Verdicts, state: State, time_ms: int, sides: _Sides) -> None:
    """Refuse where KYC has ended, and receivers outside the instrument's jurisdictions and classes."""
    accounts = state.accounts
    now = np.uint32(_seconds(time_ms))
    until = accounts.column("kyc_until")
    verdicts.refuse((until[sides.senders] <= now) | (until[sides.receivers] <= now), Code.INELIGIBLE)
    for index, paper in sides.papers.items():
        for allowed, field in ((paper.jurisdictions, "jurisdiction"), (paper.classes, "investor_class")):
            if allowed:
                admitted = np.isin(accounts.column(field)[sides.receivers], np.array(allowed, np.int64))
                verdicts.refuse((sides.instruments == index) & ~admitted, Code.INELIGIBLE)


def _kept_by_vasp(types: Columns) -> Columns:
    kept: Columns = (types == AccountType.CUSTODIAL) | (types == AccountType.CLIENT_MONEY)
    return kept


def _is_closed(instrument: Instrument, time_ms: int) -> bool:
    try:
        check_open(instrument, time_ms)
    except Refused:
        return True
    return False


def _has_right(vasp: Vasp, act: str, services: tuple[str, ...]) -> bool:
    try:
        rights.require(vasp, act, services)
    except Refused:
        return False
    return True


def _covered_in_any_order(state: State, sources: Indices, amounts: Columns) -> bool:
    """Whether each sender has the sum of its debits before any credit; summed as 32-bit halves, so that no
    sum of up to 2**31 amounts overflows."""
    if len(sources) == 0:
        return True
    order = np.argsort(sources, kind="stable")
    ordered, sorted_amounts = sources[order], amounts[order]
    starts = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), ordered[1:] != ordered[:-1])))
    senders = ordered[starts]
    low = np.add.reduceat(sorted_amounts & _LOW_HALF, starts)
    high = np.add.reduceat(sorted_amounts >> _HALF_BITS, starts) + (low >> _HALF_BITS)
    balances = state.holdings.column("balance")[senders] - state.holdings.column("locked")[senders]
    for column in (low, high, balances):
        _must_be(column, np.uint64)
    fits = high <= np.uint64(AMOUNT_MAX >> 32)
    totals = (high << _HALF_BITS) | (low & _LOW_HALF)
    return bool((fits & (totals <= balances)).all())


def _ordered_codes(state: State, sources: Indices, targets: Indices, amounts: Columns) -> RowCodes:
    """Overdraft or OK for each row, in order, over plain integers; nothing is written."""
    touched = np.unique(np.concatenate((sources, targets)))
    free = state.holdings.column("balance")[touched] - state.holdings.column("locked")[touched]
    balances = dict(zip(touched.tolist(), free.tolist(), strict=True))
    codes = np.zeros(len(sources), np.uint16)
    rows = zip(sources.tolist(), targets.tolist(), amounts.tolist(), strict=True)
    for number, (source, target, amount) in enumerate(rows):
        if amount > balances[source]:
            codes[number] = Code.OVERDRAFT
        else:
            balances[source] -= amount
            balances[target] += amount
    return codes


def _must_be(column: Columns, dtype: type[np.generic]) -> None:
    if column.dtype != dtype:
        raise InvariantError(f"a column of {column.dtype} where {dtype.__name__} belongs")
