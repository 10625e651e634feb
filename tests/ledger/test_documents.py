"""Every record that can be written can be read again: its lists are bounded, and what writes it asks so."""

from enum import IntEnum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Meta
from msgspec.structs import replace

from ledger import restrictions
from ledger.codes import Code, InvariantError
from ledger.documents import Approval, Document, Parameter, ProposalStatus, Rule, Target
from ledger.limits import CAUSES_MAX, DOCUMENT_BYTES_MAX, FREEZES_OPEN_MAX, SIGNATURES_MAX, VALUE_LENGTH_MAX
from ledger.state import TABLES, State
from ledger.tables import DocumentTable, Journal
from primitives.codec import encode
from testing import world
from testing.ledger_network import Network, said
from testing.stores import KeptState

PLAIN_BYTES_MAX = 5 + 4 * VALUE_LENGTH_MAX  # of one value that a refusal quotes


def largest(declared: Any, where: str, *metas: Any) -> int:
    """The bytes of the longest encoding that the bounds of a type allow. Fails for what has no bound."""
    origin, inner = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return largest(inner[0], where, *metas, *inner[1:])
    longest = [meta.max_length for meta in metas if isinstance(meta, Meta) and meta.max_length is not None]
    highest = [meta.le for meta in metas if isinstance(meta, Meta) and meta.le is not None]
    if origin in (Union, UnionType):
        return max(largest(option, where, *metas) for option in inner)
    if declared is Any:
        return PLAIN_BYTES_MAX
    if declared is bool:
        return 1
    if declared is int:
        return len(encode(int(highest[0]))) if highest else 9
    if isinstance(declared, type) and issubclass(declared, IntEnum):
        return max(len(encode(int(member))) for member in declared)
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        hints = get_type_hints(declared, include_extras=True)
        fields = declared.__struct_fields__
        return 5 + 9 + sum(largest(hints[name], f"{where}.{name}") for name in fields)  # 9: a variant's tag
    assert longest, f"{where}: no bound"
    if declared is bytes:
        return 5 + longest[0]
    if declared is str:
        return 5 + 4 * longest[0]
    assert (origin, inner[1]) == (tuple, Ellipsis), where
    return 5 + longest[0] * largest(inner[0], f"{where}[]")


SCHEMAS = [
    (spec.name, schema)
    for spec in TABLES.values()
    if spec.schema is not None
    for schema in (spec.schema, *(revision.schema for revision in spec.revisions))
]


@pytest.mark.parametrize(("table", "schema"), SCHEMAS)
def test_every_record_that_its_bounds_allow_can_be_stored_and_loaded(table: str, schema: Any) -> None:
    assert largest(schema, table) <= DOCUMENT_BYTES_MAX


class Blob(Document, frozen=True):
    """A record without bounds."""

    data: bytes


def test_a_record_is_written_within_the_limit_at_which_it_is_read() -> None:
    table = DocumentTable(250, "blobs", Blob, Journal())
    table.append(Blob(bytes(DOCUMENT_BYTES_MAX - 6)))
    table.rehash()
    written = [content for _, content in table.drain()]
    assert len(written[0]) == DOCUMENT_BYTES_MAX
    DocumentTable(250, "blobs", Blob, Journal()).load(written, 1)
    table.replace(0, Blob(bytes(DOCUMENT_BYTES_MAX - 5)))
    with pytest.raises(InvariantError, match="blobs: document 0 has 1048577 bytes, at most 1048576"):
        table.rehash()


@pytest.mark.parametrize("name", ["", "n" * 65])
def test_a_record_that_could_not_be_read_again_is_not_written(name: str) -> None:
    state = world.new_state()
    index = state.parameters.append(Parameter(name, 1))
    with pytest.raises(InvariantError, match=f"parameters: document {index} could not be read again: name"):
        state.rehash()


# --- what would grow a record beyond its bounds is refused where it is asked for


@pytest.mark.parametrize("target", list(Target))
def test_an_authority_has_so_many_freezes_of_one_target_and_keeps_no_other_from_freezing(
    target: Target,
) -> None:
    net = Network()
    net.license("binance")
    net.define_money()
    holding = net.state.instruments[net.issue()].treasury_holding
    index = holding if target is Target.HOLDING else 0
    ordered = net.freeze(target, index)
    frozen = net.state.restrictions[ordered]
    for _ in range(FREEZES_OPEN_MAX - 2):
        restrictions.freeze(net.state, target, index, frozen.proposal, net.time_ms)
    last = net.freeze(target, index)
    refused = net.refused(Code.LIMIT_EXCEEDED, "freeze", "pvara1 pvara2", target=target, index=index)
    assert said(refused).rule == "at most 64 open freezes of it by one institution"
    net.freeze(target, index, "fmu")
    net.freeze(Target.MARKET if target is Target.VASP else Target.VASP, 0)
    net.lift(last)
    net.freeze(target, index)


def test_two_proposals_for_the_last_freeze_make_one() -> None:
    net = Network()
    first = net.state.restrictions[net.freeze(Target.MARKET, 0)]
    for _ in range(FREEZES_OPEN_MAX - 2):
        restrictions.freeze(net.state, Target.MARKET, 0, first.proposal, net.time_ms)
    proposals = [net.ok("freeze", "pvara1", target=Target.MARKET, index=0)[0] for _ in range(2)]
    for proposal in proposals:
        net.ok("approve", "pvara2", proposal=proposal, reason=0)
    states = [net.proposal(proposal) for proposal in proposals]
    assert [proposal.status for proposal in states] == [ProposalStatus.EXECUTED, ProposalStatus.FAILED]
    assert states[1].code == Code.LIMIT_EXCEEDED


def test_a_freeze_counts_for_the_authority_that_proposed_it_whoever_completes_it() -> None:
    net = Network()
    place = net.state.policies.by_key["freeze"]
    world.change(net.state.policies, place, rule=Rule.TWO_DIFFERENT_OF)
    (proposal,) = net.ok("freeze", "sbp1 sbp2", target=Target.MARKET, index=0)
    net.ok("approve", "fmu1 fmu2", proposal=proposal, reason=0)
    for _ in range(FREEZES_OPEN_MAX - 1):
        restrictions.freeze(net.state, Target.MARKET, 0, proposal, net.time_ms)
    net.refused(Code.LIMIT_EXCEEDED, "freeze", "sbp1 fmu1", target=Target.MARKET, index=0)
    (proposal,) = net.ok("freeze", "pvara1 pvara2", target=Target.MARKET, index=0)
    net.ok("approve", "sbp1 sbp2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED


def test_a_payment_held_by_as_many_freezes_as_there_may_be_is_loaded_again() -> None:
    state = world.new_state()
    world.add_instrument(state, "PKR")
    vasp = world.add_vasp(state, "binance")
    paid, cash = (world.add_holding(state, world.add_account(state, vasp), 0, 5) for _ in range(2))
    for _ in range(CAUSES_MAX):
        restrictions.freeze(state, Target.HOLDING, paid, 0, 1)
    restrictions.hold_payment(state, paid, cash, 5, 1)
    state.rehash()
    kept = KeptState()
    kept.save(state.drain_changes())
    loaded = State.load(kept)
    assert loaded.root() == state.root()
    assert len(loaded.restrictions[CAUSES_MAX].causes) == CAUSES_MAX


@pytest.mark.parametrize("kind", ["approve", "reject"])
def test_an_institution_signs_so_often_and_keeps_no_other_from_signing(kind: str) -> None:
    """None signs twice; only officers who sign and go, one after another, could go on for ever."""
    net = Network()
    (proposal,) = net.ok("parameter_set", "mof1", name="idle_ms", value=700)
    table = net.state.proposals
    sbp = net.state.institutions.by_key["sbp"]
    past = tuple(Approval(1_000 + number, sbp, 1, 1, 0) for number in range(SIGNATURES_MAX - 1))
    table.replace(proposal, replace(table[proposal], objections=past))
    refused = net.refused(Code.LIMIT_EXCEEDED, kind, "sbp1 sbp2", proposal=proposal, reason=0)
    assert said(refused).rule == "at most 128 of one institution's officers sign"
    net.ok(kind, "sbp1", proposal=proposal, reason=0)
    net.refused(Code.LIMIT_EXCEEDED, kind, "sbp2", proposal=proposal, reason=0)
    net.ok(kind, "pvara1", proposal=proposal, reason=0)
