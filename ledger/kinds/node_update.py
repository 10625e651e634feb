"""The voting institutions admit a node, retire one, replace its key, or make it validator or observer.

What changes is in force two blocks later, as validator sets are. The act is refused when the network after
it would survive less than the parameters ask for, unless it survived no more before: power given to a node
that is down, or too much of it to one node, would stop the chain or hand it over.
"""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from ledger import parameters
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Node, NodeRole
from ledger.enrolment import check_key, enrol, retire, signer_of
from ledger.fields import FieldName
from ledger.identifiers import NAME
from ledger.kind import Context, Kind, Lane, Signers, Subject, subject
from ledger.limits import NODES_MAX, POWER_MAX
from ledger.rows import Role
from ledger.schema import Index, Name, Payload, ProofOrNone, PublicKeyOrNone
from ledger.state import Readable, State
from ledger.survival import LEAST, Strength
from ledger.validators import strength_of


class NodeUpdate(Payload, frozen=True):
    """`node` names it, a new name admits it; `power` is above 0 for a validator and only then. An empty
    `public_key` leaves the key as it is; a new one comes with its proof of possession."""

    node: Name
    institution: Index
    role: NodeRole
    power: Annotated[int, Meta(ge=0, le=POWER_MAX)]
    public_key: PublicKeyOrNone
    proof: ProofOrNone


def check(ctx: Context, payload: NodeUpdate) -> None:
    state = ctx.state
    if not NAME.fullmatch(payload.node):
        raise Refused(Code.BAD_IDENTIFIER, "node", payload.node)
    institution = state.institutions.require(payload.institution, "institution")
    if (payload.role is NodeRole.VALIDATOR) != (payload.power > 0):
        raise Refused(Code.OUT_OF_RANGE, "power", payload.power, 0)
    index = state.nodes.find(payload.node)
    if index is None:
        _check_admission(state, payload)
    else:
        _check_change(state.nodes[index], payload)
    if payload.public_key:
        about = (institution.name, payload.node)
        check_key(state, "public_key", payload.public_key, payload.proof, Role.NODE, about)
    elif payload.proof:
        raise Refused(Code.MALFORMED, "proof", payload.proof)
    check_strength(state, payload)


def _check_admission(state: State, payload: NodeUpdate) -> None:
    if not payload.public_key:
        raise Refused(Code.BAD_KEY, "public_key", payload.public_key)
    if payload.role is NodeRole.RETIRED:
        raise Refused(Code.NOT_FOUND, "node", payload.node)
    if sum(node.role is not NodeRole.RETIRED for node in state.nodes) >= NODES_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "node", payload.node)


def _check_change(node: Node, payload: NodeUpdate) -> None:
    if node.institution != payload.institution:
        raise Refused(Code.OUT_OF_RANGE, "institution", payload.institution, node.institution)
    if (node.role, node.power) == (payload.role, payload.power) and not payload.public_key:
        raise Refused(Code.WRONG_STATUS, "node", payload.node)


def check_strength(state: Readable, payload: NodeUpdate) -> None:
    """Refuse an act after which the network would survive too little."""
    before, after = strength_of(state.nodes), strength_of(registry_after(state, payload, 0)[0])
    if not after.validators:
        raise Refused(Code.OUT_OF_RANGE, "power", payload.power)
    _check_least(state, "losable_nodes", before, after)
    _check_least(state, "losable_institutions", before, after)
    _check_least(state, "deciding_nodes", before, after)


def _check_least(state: Readable, field: FieldName, before: Strength[int], after: Strength[int]) -> None:
    """A network that is weaker than it should be may change as long as it gets no weaker."""
    least = parameters.number(state, LEAST[field])
    would: int = getattr(after, field)
    if would < min(least, getattr(before, field)):
        raise Refused(Code.OUT_OF_RANGE, field, would, LEAST[field], least)


def apply(ctx: Context, payload: NodeUpdate) -> tuple[int, ...]:
    state = ctx.state
    nodes, index = registry_after(state, payload, ctx.height)
    if payload.public_key:
        if index < len(state.nodes):
            retire(state, signer_of(state, state.nodes[index].public_key))
        enrol(state, payload.public_key, Role.NODE, index, ctx.height)
    if index < len(state.nodes):
        state.nodes.replace(index, nodes[index])
    else:
        state.nodes.append(nodes[index])
    return (index,)


def registry_after(state: Readable, payload: NodeUpdate, height: int) -> tuple[list[Node], int]:
    """The registry as it would be after the act in block `height`, and where in it the node stands."""
    nodes, index = list(state.nodes), state.nodes.find(payload.node)
    if index is None:
        node = Node(
            payload.node,
            payload.institution,
            payload.public_key,
            payload.power,
            payload.role,
            since_height=height,
            offences=0,
            offended=(),
        )
        return [*nodes, node], len(nodes)
    old = nodes[index]
    nodes[index] = replace(
        old,
        public_key=payload.public_key or old.public_key,
        power=payload.power,
        role=payload.role,
        since_height=old.since_height if (old.role, old.power) == (payload.role, payload.power) else height,
    )
    return nodes, index


def claims(state: State, payload: NodeUpdate) -> tuple[Subject, ...]:
    """The name of a node that is new, and the key."""
    name = () if payload.node in state.nodes.by_key else (("node name", payload.node),)
    return (*name, ("key", payload.public_key)) if payload.public_key else name


KIND = Kind(
    81,
    "node_update",
    Lane.ACTS,
    Signers.OFFICERS,
    NodeUpdate,
    check,
    apply,
    Cost(2_000),
    governed=True,
    rests_on=subject("node", "node"),
    claims=claims,
)
