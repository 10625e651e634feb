"""What an act would leave of the network, as named fields and in words: shown to officers before they sign.

Computed from the state and from what the node that answers has itself seen of others; it binds nothing. What
is refused all the same stands in `ledger.kinds.node_update`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from api.fields import Decimal, Shown
from api.limits import UNSEEN_BLOCKS
from api.sources import View
from ledger import parameters
from ledger.codes import Refused
from ledger.documents import Node
from ledger.kinds.institution_update import InstitutionUpdate
from ledger.kinds.node_update import NodeUpdate, check_strength, registry_after
from ledger.kinds.parameter_set import ParameterSet
from ledger.survival import LEAST, Strength, losable
from ledger.validators import strength_of
from ledger.words import sentence_of


class SurvivalView(Shown, frozen=True):
    """What the validators of the registry survive: so many of them, and so many whole institutions, may be
    lost whichever they are; so few of them, the heaviest, decide a block; and the institutions that could
    stop the network alone."""

    validators: int
    power: Decimal
    losable_nodes: int
    losable_institutions: int
    deciding_nodes: int
    could_stop: tuple[str, ...]


class OutlookView(Shown, frozen=True):
    """What the network survives `now`, and would `then`. `empowered` is the node to which the act gives power
    or a key; it is `unseen` if the node that answers saw none of its votes in the last `watched_blocks`
    blocks. `cut_off` are nodes that the answering one has as peers under a root that the act ends;
    `spare_officers` how many keys of officers the institution that the act changes could then lose and still
    approve. `refused` says why the ledger would refuse the act; `words` say it all."""

    now: SurvivalView
    then: SurvivalView
    empowered: str | None
    unseen: bool
    watched_blocks: int
    cut_off: tuple[str, ...]
    spare_officers: int | None
    refused: str
    words: tuple[str, ...]


def outlook(view: View, payload: Any) -> OutlookView | None:
    """What the act with this payload would leave if it took effect now; None for acts of which the network
    does not depend."""
    match payload:
        case NodeUpdate():
            return _of_node(view, payload)
        case InstitutionUpdate() if payload.institution < len(view.state.institutions):
            return _of_institution(view, payload)
        case ParameterSet() if payload.name in LEAST.values() and isinstance(payload.value, int):
            return _of_parameter(view, payload.name, payload.value)
    return None


def survival(view: View, nodes: Iterable[Node]) -> SurvivalView:
    """What the validators among `nodes` survive."""
    return _shown(view, strength_of(nodes))


def unseen(view: View) -> tuple[str, ...]:
    """The validators of whose votes the node that answers saw none in the last blocks; none while it has
    watched for too few."""
    if view.watched_blocks < UNSEEN_BLOCKS:
        return ()
    return tuple(node.name for node in view.state.nodes if node.power > 0 and _is_unseen(view, node.name))


def standing(view: View, silent: Sequence[str]) -> tuple[str, ...]:
    """What the network survives as it stands, in words; `silent` are those of whose votes none was seen."""
    said = [f"the network survives {_losses(survival(view, view.state.nodes))}"]
    if silent:
        powers = {node.name: node.power for node in view.state.nodes if node.power > 0}
        lost, total = sum(powers[name] for name in silent), sum(powers.values())
        left = [power for name, power in powers.items() if name not in silent]
        said.append(
            f"no vote of {', '.join(silent)} was seen in the last {UNSEEN_BLOCKS} blocks: with that lost,"
            f" {losable(left, total, lost)} more of the validators may be"
        )
    return tuple(said)


def _of_node(view: View, payload: NodeUpdate) -> OutlookView:
    state = view.state
    after, index = registry_after(state, payload, view.height + 1)
    now, then = survival(view, state.nodes), survival(view, after)
    before = state.nodes[index].power if index < len(state.nodes) else 0
    given = payload.power > before or (payload.power > 0 and bool(payload.public_key))
    dark = given and _is_unseen(view, payload.node)
    words = _changes(now, then)
    if dark:
        seen = view.seen(payload.node)
        where = f"is connected, at height {seen.height}" if seen.connected else "is not connected"
        words.append(
            f"{payload.node} is given power and none of its votes was seen in the last"
            f" {view.watched_blocks} blocks by {view.node}, to which it {where}"
        )
        others = [node.power for place, node in enumerate(after) if node.power > 0 and place != index]
        left = losable(others, then.power, after[index].power)
        words.append(f"while {payload.node} is down, {left} more of {then.validators} validators may be lost")
    refused = ""
    try:
        check_strength(state, payload)
    except Refused as refusal:
        refused = sentence_of(refusal)
        words.append(f"the ledger refuses it: {refused}")
    return _view(
        view, now, then, words, empowered=payload.node if given else None, unseen=dark, refused=refused
    )


def _of_institution(view: View, payload: InstitutionUpdate) -> OutlookView:
    record = view.state.institutions[payload.institution]
    now = survival(view, view.state.nodes)
    officers = len(record.officers) - len(payload.remove) + len(payload.add)
    threshold = payload.threshold or record.threshold
    spare = max(0, officers - threshold)
    words = [
        f"{record.name} then approves with {threshold} of {officers} officers: it can lose {spare} of their"
        " keys"
    ]
    staying = {root.der for root in payload.ca_roots}
    ended = [root.der for root in record.ca_roots if payload.ca_roots and root.der not in staying]
    cut_off = tuple(node.name for node in view.state.nodes if view.seen(node.name).root in ended)
    if ended:
        named = ", ".join(cut_off) or "none"
        words.append(
            f"a root of {record.name} ends with the act: of the peers of {view.node} under it, {named}"
            f" lose their connections"
        )
    return _view(view, now, now, words, cut_off=cut_off, spare_officers=spare)


def _of_parameter(view: View, name: str, value: int) -> OutlookView:
    now = survival(view, view.state.nodes)
    field = next(field for field, parameter in LEAST.items() if parameter == name)
    has, was = getattr(now, field), parameters.number(view.state, name)
    words = [
        f"{name} goes from {was} to {value}, {field} is {has} now: a node_update may from then on leave it at"
        f" {min(value, has)}"
    ]
    if value < was and value < has:
        words.append("so the network may come to survive less than the ledger allows today")
    return _view(view, now, now, words)


def _view(
    view: View,
    now: SurvivalView,
    then: SurvivalView,
    words: list[str],
    *,
    empowered: str | None = None,
    unseen: bool = False,
    cut_off: tuple[str, ...] = (),
    spare_officers: int | None = None,
    refused: str = "",
) -> OutlookView:
    return OutlookView(
        now=now,
        then=then,
        empowered=empowered,
        unseen=unseen,
        watched_blocks=view.watched_blocks,
        cut_off=cut_off,
        spare_officers=spare_officers,
        refused=refused,
        words=tuple(words),
    )


def _changes(now: SurvivalView, then: SurvivalView) -> list[str]:
    words = [f"after this act the network survives {_losses(then)}"]
    if now != then:
        words.append(f"today it survives {_losses(now)}")
    words += [f"{name} alone could stop it" for name in then.could_stop]
    if then.validators:
        words.append(f"{then.deciding_nodes} of the validators, the heaviest, decide a block")
    return words


def _losses(survives: SurvivalView) -> str:
    return (
        f"the loss of {survives.losable_nodes} of {survives.validators} validators, and of"
        f" {survives.losable_institutions} whole institutions, whichever they are"
    )


def _is_unseen(view: View, name: str) -> bool:
    voted = view.seen(name).voted
    return voted == 0 or voted + UNSEEN_BLOCKS < view.height


def _shown(view: View, strength: Strength[int]) -> SurvivalView:
    names = tuple(view.state.institutions[index].name for index in strength.could_stop)
    return SurvivalView(
        validators=strength.validators,
        power=strength.power,
        losable_nodes=strength.losable_nodes,
        losable_institutions=strength.losable_institutions,
        deciding_nodes=strength.deciding_nodes,
        could_stop=names,
    )
