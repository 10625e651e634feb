"""Kind 2, `transfer_batch`: up to 8,192 transfers in one signed body, each row with its own result code.

`rows` are 16 bytes each: from holding u4, to holding u4, amount u8, little-endian. Rows apply in order and
fail alone, with the codes of `transfer` (malformed for an amount out of range). The batch itself is refused
with malformed or limit_exceeded.
"""

from typing import Annotated

from msgspec import Meta

from ledger.cost import Cost, packed
from ledger.kind import Context, Kind, Lane, Signers
from ledger.limits import BATCH_ROWS_MAX
from ledger.rows import TRANSFER_ROW
from ledger.schema import Payload
from ledger.transfers import batch_rows, mover_of, settle_batch


class TransferBatch(Payload, frozen=True):
    rows: Annotated[bytes, Meta(max_length=BATCH_ROWS_MAX * TRANSFER_ROW.itemsize)]


def check(ctx: Context, payload: TransferBatch) -> None:
    batch_rows(payload.rows)


def apply(ctx: Context, payload: TransferBatch) -> tuple[int, ...]:
    ctx.report_rows(settle_batch(ctx.state, mover_of(ctx), ctx.time_ms, batch_rows(payload.rows)))
    return ()


KIND = Kind(
    2,
    "transfer_batch",
    Lane.TRANSFERS,
    Signers.HOLDER,
    TransferBatch,
    check,
    apply,
    Cost(100, (packed(2, "rows", TRANSFER_ROW.itemsize),)),
)
