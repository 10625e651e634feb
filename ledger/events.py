"""Events: what is watched of a table's records, so that every change of it is written down by the table.

What is watched stands with the declaration of each table in `ledger.state`.
"""

from typing import NamedTuple

import numpy as np

EVENT = np.dtype(
    [
        ("cause", "<u4"),  # as of postings
        ("after", "<u4"),  # so many postings of the block come before it
        ("table", "<u2"),
        ("field", "<u2"),
        ("index", "<u4"),
        ("old", "<u8"),
        ("new", "<u8"),
    ]
)
EVENT_BYTES = EVENT.itemsize

# Field 0 is the record itself: 0 before it is there, 1 from then on; from 1 to 1 it is written anew.
RECORD = 0
ABSENT, PRESENT = 0, 1


class Watch(NamedTuple):
    """What is watched of a table's records: fields (whole numbers; numbered from 1 in this order, which is
    protocol and only ever appended to), that a record is new, and each rewriting of one."""

    fields: tuple[str, ...] = ()
    created: bool = True
    rewritten: bool = False


UNWATCHED = Watch(created=False)
