"""The voting institutions take a scheduled version of the protocol back, until the height that it begins."""

from ledger import schedule
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.schema import Index, Payload


class UpgradeCancel(Payload, frozen=True):
    """`entry` is the index of the scheduled version in the table `versions`."""

    entry: Index


def check(ctx: Context, payload: UpgradeCancel) -> None:
    ctx.state.versions.require(payload.entry, "entry")
    if payload.entry != schedule.pending(ctx.state):
        raise Refused(Code.WRONG_STATUS, "entry", payload.entry)


def apply(ctx: Context, payload: UpgradeCancel) -> tuple[int, ...]:
    schedule.cancel(ctx.state, payload.entry)
    return (payload.entry,)


KIND = Kind(
    83,
    "upgrade_cancel",
    Lane.ACTS,
    Signers.OFFICERS,
    UpgradeCancel,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("upgrade"),
)
