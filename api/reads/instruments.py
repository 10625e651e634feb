"""Reads of instruments, offers, programmes and exchange rates."""

from typing import Any

from api.declare import read
from api.fields import PAGE_DEFAULT, Cursor, Decimal, Height, Index, Limit, Milliseconds, Name, Shown
from api.refusals import Declined
from api.showing import documents_of, index_of, page_of, shown
from api.sources import View
from ledger import maturity, programmes, terms
from ledger.agenda import Progress, What
from ledger.codes import Code
from ledger.documents import Instrument, InstrumentStatus, Offer, OfferStatus, Register
from ledger.rows import Due


class InstrumentView(Shown, frozen=True):
    """The terms and the state of an instrument. What its family has not is None or 0.

    `supply` and balances count minor units (cash) or units (securities); `face_minor` is one unit's face.
    `yield_e6` is the yearly yield times 10**6, `price_e4` the price per 100 times 10**4; days count from
    1970-01-01 at UTC+05:00. `pool_cash` is the cash holding from which holders are redeemed, which takes at
    least `redemption_due`: the face of all units but the treasury's own.
    """

    instrument: Index
    family: str
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
    redemption_due: Decimal


class InstrumentReply(InstrumentView, frozen=True):
    """An instrument as of `height`."""

    height: Height


class InstrumentListReply(Shown, frozen=True):
    """A page of instruments."""

    height: Height
    items: tuple[InstrumentView, ...]
    next_cursor: Cursor | None


class OfferView(Shown, frozen=True):
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


class OfferListReply(Shown, frozen=True):
    """A page of offers."""

    height: Height
    items: tuple[OfferView, ...]
    next_cursor: Cursor | None


class DueView(Shown, frozen=True):
    """One row of the agenda: what time does, to which record, and from when it is due. `subject` is the index
    of a proposal (proposal_expiry), an offer (offer_close), an instrument (maturity, redemption) or a signer
    (key_replacement). What is `waiting` was due and lacks something other than time; `settled` is the height
    that did or cancelled it."""

    row: Index
    due_ms: Milliseconds
    what: What
    progress: Progress
    subject: Index
    detail: int
    settled: Height


class AgendaListReply(Shown, frozen=True):
    """A page of the agenda."""

    height: Height
    items: tuple[DueView, ...]
    next_cursor: Cursor | None


class FixingView(Shown, frozen=True):
    """An exchange rate attested by the central bank: PKR per USD times 10**4, as of a ledger time."""

    fixing: Index
    rate_e4: int
    as_of_ms: Milliseconds
    attested_ms: Milliseconds


class FixingReply(FixingView, frozen=True):
    """A fixing as of `height`; `fresh` says whether issues may be judged by it now."""

    height: Height
    fresh: bool


class ProgrammeReply(Shown, frozen=True):
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


def _of_terms(view: View, instrument: Instrument) -> dict[str, Any]:
    """What an instrument's terms say, and what its holders are owed by them."""
    owed = instrument.supply and terms.may(instrument.terms, terms.Act.REDEEM)
    due = maturity.redemption_due(view.state, instrument) if owed else 0
    return {**terms.facts(instrument.terms)._asdict(), "redemption_due": due}


def _due(index: int, row: Due) -> DueView:
    return shown(DueView, row, row=index, what=What(row.what), progress=Progress(row.progress))


class InstrumentReads:
    """Reads of instruments, offers, programmes and exchange rates."""

    @read
    def instrument_get(view: View, instrument: Index | Name) -> InstrumentReply:
        """One instrument, by its index or its code (currency or ISIN)."""
        instruments = view.state.instruments
        index = index_of(instruments, instrument, "instrument")
        derived = _of_terms(view, instruments[index])
        return shown(InstrumentReply, instruments[index], height=view.height, instrument=index, **derived)

    @read
    def instrument_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> InstrumentListReply:
        """Instruments by index."""

        def show(index: int, instrument: Instrument) -> InstrumentView:
            return shown(InstrumentView, instrument, instrument=index, **_of_terms(view, instrument))

        items, next_cursor = documents_of(view.state.instruments, cursor, limit, show)
        return InstrumentListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def offer_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> OfferListReply:
        """Offers of the issuer, by index."""

        def show(index: int, offer: Offer) -> OfferView:
            return shown(OfferView, offer, offer=index)

        items, next_cursor = documents_of(view.state.offers, cursor, limit, show)
        return OfferListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def agenda_list(
        view: View, progress: Progress | None = None, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT
    ) -> AgendaListReply:
        """What time does, by index of its row: all of it, or what is pending, waiting, done or cancelled."""
        agenda = view.state.agenda
        everything = iter(range(cursor, len(agenda)))
        found = everything if progress is None else agenda.matching("progress", progress, cursor)
        indices, next_cursor = page_of(found, limit)
        items = tuple(_due(index, agenda[index]) for index in indices)
        return AgendaListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def programme_get(view: View, programme: Index | Name) -> ProgrammeReply:
        """A borrowing programme, by its index or its name: its cap, its use, and the fixing they rest on."""
        state = view.state
        index = index_of(state.programmes, programme, "programme")
        found = state.programmes[index]
        fixing = programmes.newest_fixing(state)
        used = None
        if fixing is not None and programmes.is_fresh(state, fixing, view.ledger_time_ms):
            used = programmes.used_cents(state, index, fixing)
        newest = None if fixing is None else shown(FixingView, fixing, fixing=len(state.fixings) - 1)
        return shown(
            ProgrammeReply,
            found,
            height=view.height,
            programme=index,
            used_cents=used,
            headroom_cents=None if used is None else max(0, found.cap_cents - used),
            fixing=newest,
        )

    @read
    def fixing_get(view: View, fixing: Index | None = None) -> FixingReply:
        """A fixing by its index; without one, the newest."""
        fixings = view.state.fixings
        if fixing is None and not len(fixings):
            raise Declined(Code.NOT_FOUND, "fixing", "none", "no fixing has been attested yet")
        index = len(fixings) - 1 if fixing is None else fixing
        found = fixings.require(index, "fixing")
        fresh = programmes.is_fresh(view.state, found, view.ledger_time_ms)
        return shown(FixingReply, found, height=view.height, fresh=fresh, fixing=index)
