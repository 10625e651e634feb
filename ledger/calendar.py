"""Ledger days: whole days since 1970-01-01 on the calendar of UTC+05:00, a constant of the protocol."""

OFFSET_MS = 5 * 3_600_000
DAY_MS = 86_400_000


def day_of(time_ms: int) -> int:
    """The ledger day on which the ledger time `time_ms` falls."""
    return (time_ms + OFFSET_MS) // DAY_MS


def start_of(day: int) -> int:
    """The ledger time at which `day` begins: midnight at UTC+05:00."""
    return day * DAY_MS - OFFSET_MS


def text_of(day: int) -> str:
    """Returns `day` as YYYY-MM-DD, proleptic Gregorian, for error texts and readers.

    The algorithm is Hinnant's `civil_from_days` (chrono-compatible date algorithms): integers only.
    """
    shifted = day + 719_468
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return f"{year:04d}-{month:02d}-{day_of_month:02d}"
