"""SBP defines a currency of cash, once; the treasury gets its holding of it."""

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import NONE, Instrument, InstrumentStatus, Register
from ledger.identifiers import has_currency_shape
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import CURRENCIES_MAX
from ledger.positions import treasury_account
from ledger.schema import Name, Payload
from ledger.state import CURRENCY
from ledger.terms.cash import Cash
from ledger.transfers import open_holding


class CashDefine(Payload, frozen=True):
    """`currency` is its ISO 4217 code; balances count its minor unit."""

    currency: Name


def check(ctx: Context, payload: CashDefine) -> None:
    if not has_currency_shape(payload.currency):
        raise Refused(Code.BAD_IDENTIFIER, "currency", payload.currency)
    if payload.currency in ctx.state.instrument_by_isin:
        raise Refused(Code.ALREADY_EXISTS, "currency", payload.currency)
    if ctx.state.instruments.count_in(CURRENCY) >= CURRENCIES_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "currency", payload.currency)


def apply(ctx: Context, payload: CashDefine) -> tuple[int, ...]:
    index = ctx.state.instruments.append(
        Instrument(
            code=payload.currency,
            status=InstrumentStatus.ACTIVE,
            supply=0,
            frozen=False,
            jurisdictions=(),
            classes=(),
            cash=NONE,
            programme=NONE,
            terms_hash=bytes(32),
            register=Register.NATIVE,
            reference="",
            treasury_holding=NONE,
            treasury_cash=NONE,
            pool_cash=NONE,
            redemption=NONE,
            redeemed_ms=0,
            terms=Cash(),
        )
    )
    return (index, open_holding(ctx.state, treasury_account(ctx.state), index, ctx.time_ms))


KIND = Kind(
    52,
    "cash_define",
    Lane.ACTS,
    Signers.OFFICERS,
    CashDefine,
    check,
    apply,
    Cost(8_000),
    governed=True,
    claims=subject("code", "currency"),
)
