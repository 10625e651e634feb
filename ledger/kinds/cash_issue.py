"""SBP issues cash against a debit of the payment system, which is named by its hash and never used again."""

from ledger import parameters, rights, terms
from ledger.balances import mint
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import FundingDebit
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import AMOUNT_MAX
from ledger.postings import Movement
from ledger.rows import AccountType
from ledger.schema import Amount, Hash32, Index, Payload
from ledger.terms import Act
from ledger.transfers import check_unfrozen

TAKERS = (AccountType.CLIENT_MONEY, AccountType.INSTITUTION)


class CashIssue(Payload, frozen=True):
    """`holding` is a VASP's client money or the treasury's; `debit` is the hash of the funding debit."""

    holding: Index
    amount: Amount
    debit: Hash32


def check(ctx: Context, payload: CashIssue) -> None:
    state = ctx.state
    holding = state.holdings.require(payload.holding, "holding")
    account = state.accounts[holding.account]
    instrument = state.instruments[holding.instrument]
    terms.require(instrument.terms, Act.FUND, "holding", payload.holding)
    if account.type not in TAKERS:
        raise Refused(Code.NOT_AUTHORISED, "holding", payload.holding)
    if account.type == AccountType.CLIENT_MONEY:
        services = parameters.names(state, "aml_registered_services")
        rights.require(state.vasps[account.vasp], rights.TRANSFER_CASH, services)
    if payload.debit in state.debit_by_hash:
        raise Refused(Code.DEBIT_ALREADY_USED, "debit", payload.debit)
    check_unfrozen(state, holding, account, instrument, "holding")
    if instrument.supply + payload.amount > AMOUNT_MAX:
        raise Refused(Code.SUPPLY_EXCEEDED, "amount", payload.amount, instrument.supply)


def apply(ctx: Context, payload: CashIssue) -> tuple[int, ...]:
    mint(ctx.state, Movement.ISSUE, payload.holding, payload.amount)
    instrument = int(ctx.state.holdings.field(payload.holding, "instrument"))
    debit = FundingDebit(payload.debit, instrument, payload.holding, payload.amount, 0, ctx.time_ms)
    return (ctx.state.debits.append(debit),)


KIND = Kind(
    53,
    "cash_issue",
    Lane.ACTS,
    Signers.OFFICERS,
    CashIssue,
    check,
    apply,
    Cost(300),
    governed=True,
    claims=subject("debit", "debit"),
)
