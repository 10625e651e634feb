"""Family 1, cash: money of the central bank. It bears nothing, never ends, and one unit is its minor unit."""

from ledger.agenda import What
from ledger.codes import Code, Refused
from ledger.pricing import PAR_E4
from ledger.terms.family import Act, Facts, Family, Variant


class Cash(Variant, frozen=True, tag=1):
    """Cash has no terms beyond its currency, which is its code."""


def _check(terms: Cash, today: int) -> None:
    raise Refused(Code.INSTRUMENT_MISMATCH, "terms", "cash")


def _falls_due(terms: Cash) -> tuple[tuple[What, int, int], ...]:
    return ()


def _closes_ms(terms: Cash) -> int:
    return 0


def _face_minor(terms: Cash) -> int:
    return 1


def _price_e4(terms: Cash, yield_e6: int | None) -> int:
    return PAR_E4


def _facts(terms: Cash) -> Facts:
    return Facts("cash", 1, 0, 0, 0, 0, 0)


FAMILY = Family(
    right="transfer_cash",
    acts=frozenset({Act.FUND, Act.PAY}),
    check=_check,
    falls_due=_falls_due,
    closes_ms=_closes_ms,
    face_minor=_face_minor,
    price_e4=_price_e4,
    facts=_facts,
)
