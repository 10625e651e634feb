"""The voting institutions change one parameter, within its bounds."""

from typing import Annotated

from msgspec import Meta

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Parameter
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import NAMES_MAX
from ledger.schema import U63, Name, Payload


class ParameterSet(Payload, frozen=True):
    """`value` is an integer, or a list of names, as the parameter asks."""

    name: Name
    value: U63 | Annotated[tuple[Name, ...], Meta(max_length=NAMES_MAX)]


def check(ctx: Context, payload: ParameterSet) -> None:
    bounds = ctx.rules.bounds.get(payload.name)
    if bounds is None:
        raise Refused(Code.NOT_FOUND, "name", payload.name)
    refused = bounds.refusal(payload.value)
    if refused is not None:
        raise refused


def apply(ctx: Context, payload: ParameterSet) -> tuple[int, ...]:
    index = ctx.state.parameters.by_key[payload.name]
    ctx.state.parameters.replace(index, Parameter(payload.name, payload.value))
    return (index,)


KIND = Kind(
    80,
    "parameter_set",
    Lane.ACTS,
    Signers.OFFICERS,
    ParameterSet,
    check,
    apply,
    Cost(300),
    governed=True,
    rests_on=subject("parameter", "name"),
)
