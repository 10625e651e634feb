"""The voting institutions give a node power to vote, or take it; some power always remains."""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from ledger.codes import Code, Refused
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import POWER_MAX
from ledger.schema import Index, Payload

VALIDATOR = "validator"
OBSERVER = "observer"


class ValidatorUpdate(Payload, frozen=True):
    """`power` 0 makes the node an observer."""

    node: Index
    power: Annotated[int, Meta(ge=0, le=POWER_MAX)]


def check(ctx: Context, payload: ValidatorUpdate) -> None:
    nodes = ctx.state.nodes
    node = nodes.require(payload.node, "node")
    if node.power == payload.power:
        raise Refused(Code.WRONG_STATUS, "power", payload.power)
    if payload.power == 0 and all(other.power == 0 for other in nodes if other.name != node.name):
        raise Refused(Code.OUT_OF_RANGE, "power", 0)


def apply(ctx: Context, payload: ValidatorUpdate) -> tuple[int, ...]:
    node = ctx.state.nodes[payload.node]
    role = VALIDATOR if payload.power else OBSERVER
    ctx.state.nodes.replace(payload.node, replace(node, power=payload.power, role=role))
    return (payload.node,)


KIND = Kind(
    81,
    "validator_update",
    Lane.ACTS,
    Signers.OFFICERS,
    ValidatorUpdate,
    check,
    apply,
    governed=True,
    rests_on=subject("validators"),
)
