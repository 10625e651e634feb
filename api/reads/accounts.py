"""Reads of signers, accounts and holdings."""

from collections.abc import Iterator
from typing import TypeVar

from api.declare import read
from api.fields import (
    PAGE_DEFAULT,
    Cursor,
    Decimal,
    Hash,
    Height,
    Index,
    Key,
    Limit,
    Milliseconds,
    Shown,
    Signature,
)
from api.limits import ASKED_AGE_MS_MAX
from api.refusals import Declined
from api.showing import page_of, shown
from api.sources import View
from ledger.codes import Code
from ledger.rows import CLOSED, FROZEN, NO_ROW, PENDING, RETIRED, AccountType, Role
from ledger.state import StateView
from primitives.codec import encode
from primitives.hashing import WINDOW
from primitives.signatures import verify

_ROLES = {Role.OFFICER: "officer", Role.SETTLEMENT: "vasp", Role.OWNER: "client", Role.NODE: "node"}


class SignerReply(Shown, frozen=True):
    """`bitmap` has bit k set when sequence `highest` - k is used; both are None of an officer, unless his own
    key signed the question. `owner` is the index of the institution (role officer), VASP (role vasp) or
    account (role client) to which the key belongs. `status` is `in_force`, `pending` (the key waits to take
    another's place) or `retired` (replaced or removed)."""

    height: Height
    signer: Index
    public_key: Key
    role: str
    owner: int
    officer_number: int
    status: str
    highest: int | None
    bitmap: Decimal | None


class AccountReply(Shown, frozen=True):
    """`vasp` is None for an institution's account, `owner` (a signer) None unless the client keeps his own
    key. `kyc` is a salted commitment; `kyc_until` in seconds, before `kyc_floor` not ended by the VASP;
    `jurisdiction` is ISO 3166 numeric."""

    height: Height
    account: Index
    type: str
    vasp: Index | None
    owner: Index | None
    kyc: Hash
    kyc_until: int
    kyc_floor: int
    jurisdiction: int
    investor_class: int
    frozen: bool
    closed: bool


class HoldingView(Shown, frozen=True):
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


class HoldingListReply(Shown, frozen=True):
    """A page of holdings."""

    height: Height
    items: tuple[HoldingView, ...]
    next_cursor: Cursor | None


H = TypeVar("H", bound=HoldingView)


def window_sign_input(genesis_hash: bytes, public_key: bytes, asked_ms: int) -> bytes:
    """What a key signs to be told its own window; `asked_ms` is the time of the chain's last block."""
    return WINDOW + genesis_hash + encode([public_key, asked_ms])


class AccountReads:
    """Reads of signers, accounts and holdings."""

    @read
    def signer_get(
        view: View,
        signer: Index | Key,
        asked_ms: Milliseconds | None = None,
        signature: Signature | None = None,
    ) -> SignerReply:
        """An enrolled key, by its index or its public key: whose it is, and which sequences it has used.

        Whose sequence moves when an act is in a block would tell who signed it, so an officer's are told to
        his own key alone: `signature` is over `mohur/1/window`, NUL, the genesis hash and the encoded list of
        his public key and `asked_ms`, the time of a block of the last minute.
        """
        signers = view.state.signers
        if isinstance(signer, bytes):
            index = signers.find(signer)
            if index is None:
                raise Declined(Code.NOT_FOUND, "signer", signer, "this key is not enrolled")
        else:
            index = signer
        row = signers.require(index, "signer")
        told = row.role != Role.OFFICER or _asks_for_itself(view, row.public_key, asked_ms, signature)
        return shown(
            SignerReply,
            row,
            height=view.height,
            signer=index,
            role=_ROLES[Role(row.role)],
            officer_number=row.number,
            status="retired" if row.flags & RETIRED else "pending" if row.flags & PENDING else "in_force",
            **({} if told else {"highest": None, "bitmap": None}),
        )

    @read
    def account_get(view: View, account: Index) -> AccountReply:
        """One account."""
        row = view.state.accounts.require(account, "account")
        return shown(
            AccountReply,
            row,
            height=view.height,
            account=account,
            type=AccountType(row.type).name.lower(),
            vasp=None if row.vasp == NO_ROW else row.vasp,
            owner=row.owner - 1 if row.owner else None,
            frozen=bool(row.flags & FROZEN),
            closed=bool(row.flags & CLOSED),
        )

    @read
    def holding_get(view: View, holding: Index) -> HoldingReply:
        """One holding: what one account has of one instrument."""
        view.state.holdings.require(holding, "holding")
        return _holding(HoldingReply, view.state, holding, height=view.height)

    @read
    def holding_list(
        view: View,
        account: Index | None = None,
        instrument: Index | None = None,
        cursor: Cursor = 0,
        limit: Limit = PAGE_DEFAULT,
    ) -> HoldingListReply:
        """Holdings of one account, or of one instrument, or all, by index."""
        state = view.state
        if account is not None:
            found = _of_account(state, account, instrument, cursor)
        elif instrument is not None:
            state.instruments.require(instrument, "instrument")
            found = state.holdings.matching("instrument", instrument, cursor)
        else:
            found = iter(range(cursor, len(state.holdings)))
        indices, next_cursor = page_of(found, limit)
        items = tuple(_holding(HoldingView, state, index) for index in indices)
        return HoldingListReply(height=view.height, items=items, next_cursor=next_cursor)


def _asks_for_itself(view: View, public_key: bytes, asked_ms: int | None, signature: bytes | None) -> bool:
    """Whether the key itself asks. Raises Declined if the question is signed, but wrongly or long ago."""
    if asked_ms is None or signature is None:
        return False
    if abs(view.time_ms - asked_ms) > ASKED_AGE_MS_MAX:
        rule = f"must be within {ASKED_AGE_MS_MAX} ms of the last block's time, {view.time_ms}"
        raise Declined(Code.EXPIRED, "asked_ms", asked_ms, rule)
    if not verify(public_key, window_sign_input(view.genesis_hash, public_key, asked_ms), signature):
        raise Declined(Code.BAD_SIGNATURE, "signature", signature, "must be the signer's own")
    return True


def _holding(kind: type[H], state: StateView, index: int, **more: int) -> H:
    row = state.holdings[index]
    code = state.instruments[row.instrument].code
    return shown(kind, row, holding=index, code=code, frozen=bool(row.flags & FROZEN), **more)


def _of_account(state: StateView, account: int, instrument: int | None, cursor: int) -> Iterator[int]:
    """Along the account's own list, which is as long as the number of its instruments; by index."""
    found = []
    index = state.accounts.require(account, "account").first_holding
    while index != NO_ROW:
        row = state.holdings[index]
        if index >= cursor and instrument in (None, row.instrument):
            found.append(index)
        index = row.next_holding
    return iter(sorted(found))
