"""What a pool asks of the newest state before it takes a transaction, beside the rules of blocks.

All of it is cheap: whether the signers have a role that may send such a thing, whose share of the pool it
takes, and, while room is scarce, whether a transfer could be paid now. None of it is a rule of the chain: a
block may hold what is refused here.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from ledger.balances import available
from ledger.codes import Code, Refused
from ledger.kind import authorise
from ledger.kinds.transfer import Transfer
from ledger.rows import NO_ROW, Role
from ledger.state import Readable
from ledger.transactions import Transaction
from ledger.transfers import Mover, check_custody
from node.limits import OFFICER_BYTES_MAX, OWNER_BYTES_MAX, SETTLEMENT_BYTES_MAX

_BYTES_MAX = {
    Role.OFFICER: OFFICER_BYTES_MAX,
    Role.SETTLEMENT: SETTLEMENT_BYTES_MAX,
    Role.OWNER: OWNER_BYTES_MAX,
}


@dataclass(frozen=True, slots=True)
class Share:
    """Whose share of the pool a signer's transactions take, its institution's or VASP's, and how many bytes
    of its own may wait at most."""

    group: Hashable
    bytes_max: int


def check_roles(state: Readable, transaction: Transaction) -> None:
    """Refuse a transaction of a kind that its signers' roles may not send; the signers are known to be
    enrolled."""
    signers = transaction.signers
    roles = tuple(state.signers.field(signer, "role") for signer in signers)
    authorise(transaction.definition, signers, roles)


def share_of(state: Readable, signer: int) -> Share:
    """The share that an enrolled signer's transactions take."""
    role, owner = state.signers.field(signer, "role"), state.signers.field(signer, "owner")
    if role == Role.OWNER:
        vasp = state.accounts.field(owner, "vasp")
        return Share(("vasp", vasp), _BYTES_MAX[role])
    return Share(("vasp" if role == Role.SETTLEMENT else "institution", owner), _BYTES_MAX.get(role, 0))


def check_payable(state: Readable, transaction: Transaction) -> None:
    """Refuse a transfer of what its signer does not have now, though it may have it when its turn comes."""
    payload = transaction.payload
    if not isinstance(payload, Transfer):
        return
    signer = transaction.signers[0]
    settles = NO_ROW
    if state.signers.field(signer, "role") == Role.SETTLEMENT:
        settles = state.signers.field(signer, "owner")
    holding = state.holdings.require(payload.from_holding, "from_holding")
    account = state.accounts[holding.account]
    check_custody(Mover(signer, settles), account, "from_holding", payload.from_holding)
    if payload.amount > available(holding):
        raise Refused(Code.OVERDRAFT, "amount", payload.amount, available(holding))
