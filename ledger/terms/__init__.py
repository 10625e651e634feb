"""What an instrument's terms say: the one place that knows the families, and the questions the ledger asks.

An instrument is a head that all share (`documents.Instrument`) and one variant of terms. Each family is one
module here: its variant, a record that holds what was approved, and last `FAMILY`, its answers. Nobody
outside this package asks which family an instrument is of: whoever wants to know what may be done with it,
what falls due, what it is worth or what it costs asks here. To add a family: its module, its variant in
`Terms`, its line in FAMILIES, and its row in docs/protocol.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ledger.agenda import What
from ledger.codes import Code, Plain, Refused
from ledger.fields import FieldName
from ledger.pricing import PAR_E4
from ledger.terms import cash, discount
from ledger.terms.cash import Cash
from ledger.terms.discount import Discount
from ledger.terms.family import Act, Facts, Family

__all__ = ["Act", "Cash", "Discount", "Facts", "Terms"]

Terms = Cash | Discount

FAMILIES: Mapping[type[Any], Family] = MappingProxyType({Cash: cash.FAMILY, Discount: discount.FAMILY})


def may(terms: Terms, act: Act) -> bool:
    """Whether this may be done with an instrument of these terms."""
    return act in _family(terms).acts


def require(terms: Terms, act: Act, field: FieldName, value: Plain) -> None:
    """Refuse unless `act` may be done with an instrument of these terms; `field` held `value`."""
    if not may(terms, act):
        raise Refused(Code.INSTRUMENT_MISMATCH, field, value, act, facts(terms).family)


def right(terms: Terms) -> str:
    """The right, of a VASP, under which units are moved by transfer (`ledger.rights`)."""
    return _family(terms).right


def check(terms: Terms, today: int) -> None:
    """Refuse terms that cannot be issued on the ledger day `today`."""
    _family(terms).check(terms, today)


def falls_due(terms: Terms) -> tuple[tuple[What, int, int], ...]:
    """What time will do to the instrument: (what, due time in ms, detail), put into the agenda at issue."""
    return _family(terms).falls_due(terms)


def closes_ms(terms: Terms) -> int:
    """The ledger time from which units are no longer transferred or offered; 0: never."""
    return _family(terms).closes_ms(terms)


def face_minor(terms: Terms) -> int:
    """What one unit is worth under the cap, and what redemption pays for it, in minor units of its cash."""
    return _family(terms).face_minor(terms)


def price_e4(terms: Terms, yield_e6: int | None = None) -> int:
    """The price per 100 of face times 10**4 at a yearly yield times 10**6; None: at the yield approved."""
    return _family(terms).price_e4(terms, yield_e6)


def cost_minor(terms: Terms, units: int, price_e4: int) -> int:
    """What `units` cost at a price per 100 of face, rounded down: the remainder stays with the payer."""
    return units * face_minor(terms) * price_e4 // PAR_E4


def facts(terms: Terms) -> Facts:
    """The same for every family, for readers."""
    return _family(terms).facts(terms)


def _family(terms: Terms) -> Family:
    return FAMILIES[type(terms)]
