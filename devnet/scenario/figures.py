"""The figures of the scenario: the bill, its price, and how many clients trade it."""

ISIN = "PK0012345671"
SECOND_ISIN = "PK0012345689"
UNIT_FACE = 500_000  # paisa: PKR 5,000
UNITS = 2_000_000
TENOR_DAYS = 84
YIELD_E6 = 93_784
PRICE_E4 = 978_873
CAP_CENTS = 200_000_000_000  # USD 2 billion
RATE_E4 = 2_800_000  # PKR 280.0000 per USD
FURTHER_UNITS = 550_000_000_000 // 5_000
CLIENTS = 1_000
SELF_CUSTODY = 10  # of them, for each VASP
SELF_CUSTODY_UNITS = 50
PILOT = 10  # accounts before the licence: the default of aml_accounts_cap
CLIENTS_MIN = SELF_CUSTODY + PILOT
PAKISTAN, ELSEWHERE = 586, 408  # ISO 3166-1 numeric
RETAIL = 1
KYC_UNTIL = 2**32 - 1
TRADES = 50_000
SINGLES = 200
BATCH_ROWS = 2_500
CRASHED = "pvara"
WINDOW_MS = 3_600_000
SEED = 1947
BEFORE_A_BLOCK = frozenset({"sequence_used", "wrong_chain", "expired", "bad_signature", "malformed"})


def paisa(units: int) -> int:
    """What `units` cost at the offer's price, rounded down: the remainder stays with the payer."""
    return units * UNIT_FACE * PRICE_E4 // 1_000_000
