"""The voting institutions schedule a version of the protocol: from a height on, blocks follow it."""

from typing import Annotated

from msgspec import Meta

from ledger import parameters, schedule
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.schema import U63, Payload


class UpgradeSchedule(Payload, frozen=True):
    """`height` is that of the first block of `version`, the one after the version in force: a number mistyped
    would stop the chain before a version that nobody will ever write. Nodes without it stop before it."""

    version: Annotated[int, Meta(ge=1, le=2**16 - 1)]
    height: U63


def check(ctx: Context, payload: UpgradeSchedule) -> None:
    state = ctx.state
    waiting = schedule.pending(state)
    if waiting is not None:
        version = state.versions[waiting].version
        raise Refused(Code.WRONG_STATUS, "version", payload.version, version)
    if payload.version != state.version + 1:
        raise Refused(Code.OUT_OF_RANGE, "version", payload.version, state.version)
    notice = parameters.number(state, "upgrade_notice_blocks")
    if payload.height < ctx.height + notice:
        raise Refused(Code.OUT_OF_RANGE, "height", payload.height, notice, ctx.height)


def apply(ctx: Context, payload: UpgradeSchedule) -> tuple[int, ...]:
    return (schedule.schedule(ctx.state, payload.version, payload.height, ctx.height),)


KIND = Kind(
    82,
    "upgrade_schedule",
    Lane.ACTS,
    Signers.OFFICERS,
    UpgradeSchedule,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("upgrade"),
)
