"""A batch of transfers settled one row at a time: what the vector path must equal, row for row."""

import numpy as np

from ledger.balances import move
from ledger.codes import Refused
from ledger.kind import RowCodes
from ledger.postings import Movement
from ledger.state import State
from ledger.transfers import Columns, Mover, check_transfer


def settle_batch_in_order(state: State, mover: Mover, time_ms: int, batch: Columns) -> RowCodes:
    """Each row through the rule for one transfer, in turn: what `settle_batch` does must equal this."""
    codes: RowCodes = np.zeros(len(batch), np.uint16)
    for number, (source, target, amount) in enumerate(batch.tolist()):
        try:
            check_transfer(state, mover, time_ms, source, target, amount)
        except Refused as refusal:
            codes[number] = refusal.code
        else:
            move(state, Movement.TRANSFER, source, target, amount)
    return codes
