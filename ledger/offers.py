"""Offers of units by the issuer: how they end, and what becomes of the units that nobody took."""

from msgspec.structs import replace

from ledger import agenda
from ledger.agenda import Moment, Outcome
from ledger.balances import burn, unlock
from ledger.documents import OfferStatus
from ledger.postings import Movement
from ledger.state import State


def close(state: State, moment: Moment, index: int, detail: int) -> Outcome:
    """The window of the offer is over: cancel the units that nobody took."""
    offer = state.offers[index]
    unsold = offer.units - offer.taken
    if unsold:
        holding = state.instruments[offer.instrument].treasury_holding
        unlock(state, holding, unsold)
        burn(state, Movement.CANCELLATION, holding, unsold)
    state.offers.replace(index, replace(offer, cancelled=unsold, status=OfferStatus.CLOSED))
    return agenda.DONE
