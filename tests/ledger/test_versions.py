"""Versions of the protocol: their schedule, what a block of one takes, and how a chain enters the next."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from client import transactions
from ledger import conservation, parameters, release, schedule, versions
from ledger import state as tables
from ledger.codes import Code, InvariantError, Refused
from ledger.documents import Programme, ProposalStatus, Rule, Version, VersionStatus
from ledger.events import EVENT, Watch
from ledger.execution import BlockFacts, apply_block
from ledger.genesis import create_state, default_policies, genesis_hash, problems
from ledger.kinds import BY_NAME
from ledger.kinds.dev_advance_clock import DevAdvanceClock
from ledger.proofs import prove_record, proven_record
from ledger.release import UnknownVersion
from ledger.schema import Payload
from ledger.state import TABLES, Changes, Revision, State
from ledger.tables import DocumentTable
from ledger.transactions import Transaction, id_and_kind
from testing import version2
from testing.ledger_network import Network, make_genesis
from testing.stores import KeptState

NOTICE = ("upgrade_notice_blocks", 4)
VOTERS = "mof1 mof2 sbp1 sbp2 pvara1 pvara2"  # three of the four voting institutions


def network() -> Network:
    return Network(make_genesis(parameters=(NOTICE,)))


def scheduled(net: Network, ahead: int = 5) -> int:
    """The height from which version 2 was scheduled."""
    height = net.height + 1 + ahead
    net.ok("upgrade_schedule", VOTERS, version=2, height=height)
    return height


def upgraded() -> Network:
    """A chain that has just entered version 2."""
    net = network()
    go_to(net, scheduled(net))
    return net


def go_to(net: Network, height: int) -> None:
    while net.height < height:
        net.block()


# --- what a release knows -----------------------------------------------------------------------------------


def test_a_release_that_knows_more_makes_the_same_genesis_of_a_file() -> None:
    genesis = make_genesis()
    state = create_state(genesis)
    with version2.known():
        again = create_state(genesis)
        assert genesis_hash(make_genesis()) == genesis_hash(genesis)
        assert (again.root(), again.table_roots()) == (state.root(), state.table_roots())
        assert parameters.parameters_hash(again) == parameters.parameters_hash(state)
        assert problems(genesis) == []


@pytest.mark.usefixtures("version_2")
def test_a_genesis_of_version_2_begins_with_all_that_it_has() -> None:
    genesis = replace(make_genesis(), version=2, policies=default_policies(2))
    state = create_state(genesis)
    assert [(record.version, record.from_height) for record in state.versions] == [(2, 1)]
    assert parameters.number(state, version2.LIMIT) == 32
    assert state.institutions[0].motto == "mof serves"  # type: ignore[attr-defined]
    assert 200 in dict(state.table_roots())
    assert problems(replace(make_genesis(), version=2)) == ["policies: 'greet' has none"]


def test_a_genesis_of_an_unknown_version_is_refused() -> None:
    assert problems(replace(make_genesis(), version=2)) == ["version: 2: this software knows versions 1 to 1"]


@pytest.mark.usefixtures("version_2")
def test_what_belongs_to_version_2_is_not_in_version_1() -> None:
    first, second = versions.rules(1), versions.rules(2)
    assert "greet" in second.by_name.keys() - first.by_name.keys()
    assert second.bounds.keys() - first.bounds.keys() == {version2.LIMIT}
    assert set(second.governed) - set(first.governed) == {"greet"}
    assert all(second.kinds[number] is kind for number, kind in first.kinds.items())
    with pytest.raises(KeyError):
        versions.rules(3)


def test_a_number_that_is_taken_is_not_declared_again() -> None:
    with version2.known(), pytest.raises(InvariantError, match="is already"):
        version2.declare()


# --- the schedule -------------------------------------------------------------------------------------------


def test_a_version_is_scheduled_at_least_the_notice_ahead() -> None:
    net = network()
    net.refused(Code.OUT_OF_RANGE, "upgrade_schedule", VOTERS, version=2, height=net.height + 4)
    net.ok("upgrade_schedule", VOTERS, version=2, height=net.height + 5)
    assert net.state.versions[1] == Version(2, net.height + 4, VersionStatus.SCHEDULED, net.height)


def test_a_version_that_is_in_force_or_behind_is_not_scheduled() -> None:
    net = network()
    net.refused(Code.OUT_OF_RANGE, "upgrade_schedule", VOTERS, version=1, height=1_000)


def test_only_the_next_version_is_scheduled_so_that_a_mistyped_one_stops_nobody() -> None:
    net = network()
    for version in (3, 22, 65_535):
        net.refused(Code.OUT_OF_RANGE, "upgrade_schedule", VOTERS, version=version, height=1_000)


def test_one_version_is_scheduled_at_a_time_and_may_be_cancelled() -> None:
    net = network()
    scheduled(net, 20)
    net.refused(Code.WRONG_STATUS, "upgrade_schedule", VOTERS, version=3, height=1_000)
    net.refused(Code.NOT_FOUND, "upgrade_cancel", VOTERS, entry=2)
    net.refused(Code.WRONG_STATUS, "upgrade_cancel", VOTERS, entry=0)
    net.ok("upgrade_cancel", VOTERS, entry=1)
    assert schedule.pending(net.state) is None
    net.refused(Code.WRONG_STATUS, "upgrade_cancel", VOTERS, entry=1)
    assert schedule.version_at(net.state, 1_000_000) == 1
    net.ok("upgrade_schedule", VOTERS, version=2, height=1_000)


def test_an_approval_that_comes_too_late_for_the_notice_fails_the_proposal() -> None:
    net = network()
    height = net.height + 6
    (proposal,) = net.ok("upgrade_schedule", "mof1 mof2 sbp1 sbp2", version=2, height=height)
    go_to(net, height - 4)
    net.ok("approve", "pvara1 pvara2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.FAILED
    assert net.proposal(proposal).code == Code.OUT_OF_RANGE


@given(st.lists(st.tuples(st.integers(5, 30), st.booleans()), max_size=6))
def test_the_version_of_every_height_past_or_to_come_is_said_alike(steps: list[tuple[int, bool]]) -> None:
    """What a state says of a height to come, unless cancelled, is what a later one says of it past."""
    state, height, version = create_state(make_genesis()), 1, 1
    said = {}
    for ahead, cancelled in steps:
        index = schedule.schedule(state, version + 1, height + ahead, height)
        if cancelled:
            schedule.cancel(state, index)
        else:
            version += 1
        for later in range(height, height + ahead + 3):
            said[later] = schedule.version_at(state, later)
            assert said[later] == (version - 1 if later < height + ahead and not cancelled else version)
        height += ahead
        if not cancelled:
            assert schedule.due(state, height) == index
            schedule.replace_in_force(state, index)
        assert all(schedule.version_at(state, past) == said[past] for past in said if past <= height)
        assert [record.status for record in state.versions].count(VersionStatus.IN_FORCE) == 1


# --- entering a version -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("version_2")
def test_the_block_of_the_height_brings_all_that_the_version_has() -> None:
    net = network()
    height = scheduled(net)
    go_to(net, height - 1)
    before = net.state.table_roots()
    assert (net.state.version, 200 in dict(before)) == (1, False)
    net.block()
    state = net.state
    assert state.version == 2
    assert [record.status for record in state.versions] == [VersionStatus.REPLACED, VersionStatus.IN_FORCE]
    assert parameters.number(state, version2.LIMIT) == 32
    assert state.policies[state.policies.by_key["greet"]].rule is Rule.ANY_ONE_OF
    assert [number for number, _ in state.table_roots()] == [*(number for number, _ in before), 200]
    assert [type(document) for document in state.institutions] == [version2.Institution2] * 5
    (proposal, greeting) = net.ok("greet", "sbp1 sbp2", host=1, text="salaam")
    assert version2.greetings(state)[greeting].text == "salaam"
    assert state.institutions[1].motto == "salaam"  # type: ignore[attr-defined]
    assert state.institutions[0].motto == "mof serves"  # type: ignore[attr-defined]
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED


@pytest.mark.usefixtures("version_2")
def test_a_kind_of_version_2_stands_in_no_block_of_version_1() -> None:
    net = network()
    height = scheduled(net)
    early = net.tx("greet", "mof1 mof2", host=0, text="early")
    while net.height < height - 1:
        with pytest.raises(Refused) as refused:
            net.block(early)
        assert refused.value.code is Code.UNKNOWN_VERSION
    assert net.block(early)[0].code == Code.OK  # the very block of the height takes it


@pytest.mark.usefixtures("version_2")
def test_a_transaction_of_version_1_stands_in_blocks_of_version_2() -> None:
    net = network()
    early = net.tx("parameter_set", VOTERS, name="idle_ms", value=700)
    go_to(net, scheduled(net))
    assert (early.version, net.state.version) == (1, 2)
    assert net.block(early)[0].code == Code.OK


@pytest.mark.usefixtures("version_2")
def test_the_parameter_of_version_2_is_set_within_its_bounds_and_not_before() -> None:
    net = network()
    net.refused(Code.NOT_FOUND, "parameter_set", VOTERS, name=version2.LIMIT, value=8)
    go_to(net, scheduled(net))
    net.refused(Code.OUT_OF_RANGE, "parameter_set", VOTERS, name=version2.LIMIT, value=65)
    net.ok("parameter_set", VOTERS, name=version2.LIMIT, value=5)
    net.refused(Code.LIMIT_EXCEEDED, "greet", "mof1 mof2", host=0, text="salaam")
    before = parameters.parameters_hash(net.state)
    net.ok("parameter_set", VOTERS, name=version2.LIMIT, value=6)
    assert parameters.parameters_hash(net.state) != before


@pytest.mark.usefixtures("version_2")
def test_the_policy_of_a_new_act_is_the_networks_where_an_institution_is_missing() -> None:
    version2.policies.DEFAULT_POLICIES[2]["greet"] = (Rule.ALL_OF, ("mof", "elsewhere"))
    state = upgraded().state
    assert state.policies[state.policies.by_key["greet"]].rule is Rule.TWO_THIRDS_VOTING


@pytest.mark.usefixtures("version_2")
def test_an_open_proposal_outlives_the_upgrade_if_its_kind_does() -> None:
    net = network()
    (proposal,) = net.ok("parameter_set", "mof1 mof2", name="idle_ms", value=700)
    go_to(net, scheduled(net))
    assert net.proposal(proposal).status is ProposalStatus.OPEN
    net.ok("approve", "sbp1 sbp2 pvara1 pvara2", proposal=proposal, reason=0)
    assert net.proposal(proposal).status is ProposalStatus.EXECUTED


def test_a_proposal_of_a_kind_that_ends_with_the_version_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    (proposal,) = net.ok("cash_define", "sbp1", currency="PKR")
    height = scheduled(net)
    with version2.known():
        rules = {1: versions.rules(1), 2: versions.rules(2)}
        gone = BY_NAME["cash_define"].number
        left = {number: kind for number, kind in rules[2].kinds.items() if number != gone}
        rules[2] = dataclasses.replace(rules[2], kinds=left)
        monkeypatch.setattr(versions, "rules", rules.__getitem__)
        go_to(net, height)
    assert net.proposal(proposal).status is ProposalStatus.EXPIRED
    assert net.proposal(proposal).decided_height == height


def test_a_kind_with_another_payload_is_another_declaration() -> None:
    """Each block takes the one of its version; a client builds by the version that the chain follows."""
    with version2.known():
        version2.declare_longer_advance()
        net = network()
        height = scheduled(net)
        fields: list[dict[str, int]] = [{"advance_ms": 1}, {"advance_ms": 1, "reason": 7}]
        short, long = (
            transactions.payload(transactions.kind_named("dev_advance_clock", version), **fields[version - 1])
            for version in (1, 2)
        )
        assert (type(short), type(long)) == (DevAdvanceClock, version2.LongerAdvance)

        def signed(payload: Payload) -> Transaction:
            signer = net.signers["mof1"]
            sequence = net.sequences[signer] = net.sequences.get(signer, 0) + 1
            unsigned = transactions.build(
                "dev_advance_clock",
                signers=[signer],
                sequence=sequence,
                valid_until=net.header_ms // 1_000 + 600,
                payload=payload,
            )
            return net.signed(unsigned.body, ["mof1"])

        go_to(net, height - 2)
        early, late, after = signed(short), signed(short), signed(long)
        assert (early.version, after.version) == (1, 2)
        assert net.block(early)[0].code == Code.OK
        with pytest.raises(Refused) as refused:
            net.block(late)
        assert refused.value.code is Code.UNKNOWN_VERSION
        assert net.block(after)[0].code == Code.OK
        assert id_and_kind(early.raw)[1] == id_and_kind(after.raw)[1] == "dev_advance_clock"


def test_software_without_the_version_executes_no_block_of_it() -> None:
    net = network()
    height = scheduled(net)
    go_to(net, height - 1)
    root = net.state.root()
    with pytest.raises(UnknownVersion, match=f"block {height} follows version 2.*knows versions 1 to 1"):
        apply_block(net.state, BlockFacts(height, net.header_ms + 1_000), ())
    assert net.state.root() == root
    with version2.known():
        assert versions.rules_at(net.state, height).version == 2


def test_a_table_that_the_version_in_force_does_not_have_takes_nothing() -> None:
    with version2.known():
        state = create_state(make_genesis())
        version2.greetings(state).append(version2.Greeting(0, "early", 1))
        with pytest.raises(InvariantError, match="greetings: has records, version 1 has no such table"):
            state.rehash()


@pytest.mark.usefixtures("version_2")
@pytest.mark.parametrize("name", ["fixings", "signers"])
def test_a_table_that_ends_is_empty_from_then_on_and_takes_nothing(name: str) -> None:
    """In a node that runs on as in one that starts anew; what was published before keeps its records."""
    version2.end_table(name)
    net = network()
    net.define_money()
    height = scheduled(net)
    go_to(net, height - 1)
    before = net.state.publish()
    table = getattr(before, name)
    kept = [table[index] for index in range(len(table))]
    assert kept
    assert kept[0] in (before.fixings[0], before.signers[0])
    mark = net.state.mark()
    versions.begin_block(net.state, height, net.time_ms)
    conservation.check_block(net.state, mark)
    net.state.rehash()
    loaded = State.load(stored([net.state.drain_changes()]))
    for state in (net.state, loaded):
        assert (len(getattr(state, name)), len(getattr(state.publish(), name))) == (0, 0)
        assert getattr(state, name).by_key == {}
    assert net.state.root() == loaded.root()
    assert [table[index] for index in range(len(table))] == kept
    assert before.signers.find(before.signers[0].public_key) == 0
    getattr(net.state, name).append(kept[0])
    with pytest.raises(InvariantError, match=f"{name}: has records, version 2 has no such table"):
        net.state.rehash()


@pytest.mark.usefixtures("version_2")
def test_what_a_later_version_watches_is_noted_from_then_on() -> None:
    """Fields that are new, fields of old, and columns; the numbers of those watched before stay."""
    added = []
    for table in ("vasps", "signers"):
        fields = tables.TABLES[tables.NUMBERS[table]].watched_fields
        added.append((tables.NUMBERS[table], len(fields) + 1))
        tables.watch(table, 2, Watch((*fields, "accounts" if table == "vasps" else "highest")))
    with pytest.raises(InvariantError, match="table 6 vasps: what is watched is only ever added to"):
        tables.watch("vasps", 3, Watch(("stage", "accounts")))
    with pytest.raises(InvariantError, match="table 6 vasps: what is watched is only ever added to"):
        tables.watch("vasps", 2, Watch((*tables.TABLES[6].watched_fields, "licensed_ms")))

    def noted(state: State) -> list[tuple[int, int]]:
        for table in (state.vasps, state.signers):
            table.rehash()
        state.vasps.replace(0, replace(state.vasps[0], accounts=state.vasps[0].accounts + 1))
        state.signers.set_field(0, "highest", int(state.signers.field(0, "highest")) + 1)
        rows = np.frombuffer(state.stream.events(), EVENT)
        return [(int(row["table"]), int(row["field"])) for row in rows]

    net = network()
    net.register("binance")
    assert noted(net.state) == []
    net.state.rehash()
    go_to(net, scheduled(net))
    loaded = State.load(stored([net.state.drain_changes()]))
    assert noted(net.state) == noted(loaded) == added


# --- storage and proofs across the upgrade ------------------------------------------------------------------


def stored(states: list[Changes]) -> KeptState:
    kept = KeptState()
    for changes in states:
        kept.save(changes)
    return kept


@pytest.mark.usefixtures("version_2")
@pytest.mark.parametrize("checkpoints", [(), (-1,), (0,), (-1, 0, 1), (-3, 2)])
def test_a_state_stored_around_the_height_loads_as_it_was(checkpoints: tuple[int, ...]) -> None:
    net = network()
    height = scheduled(net)
    drained = [net.state.drain_changes()]
    for at in range(-3, 4):
        go_to(net, height + at)
        if at in checkpoints:
            drained.append(net.state.drain_changes())
            loaded = State.load(stored(drained))
            assert (loaded.version, loaded.root()) == (net.state.version, net.state.root())
    net.ok("greet", "mof1 mof2", host=0, text="after")
    drained.append(net.state.drain_changes())
    loaded = State.load(stored(drained))
    assert (loaded.version, loaded.root()) == (2, net.state.root())
    assert list(version2.greetings(loaded)) == list(version2.greetings(net.state))
    assert [table.number for table in loaded.tables] == [*sorted(TABLES)]
    assert [list(t) for t in loaded.tables if isinstance(t, DocumentTable)] == [
        list(t) for t in net.state.tables if isinstance(t, DocumentTable)
    ]


class Programme2(Programme, frozen=True):
    """A programme as a version 2 might have it: another class, the same bytes."""


@pytest.mark.usefixtures("version_2")
def test_a_view_has_the_records_of_the_version_even_where_their_bytes_stay() -> None:
    tables.revise("programmes", Revision(2, Programme2, lambda old: Programme2(**structs.asdict(old))))
    net = network()
    net.define_money()
    net.issue()
    net.state.publish()
    go_to(net, scheduled(net))
    loaded = State.load(stored([net.state.drain_changes()]))
    for state in (net.state, loaded):
        assert [type(record) for record in state.publish().programmes] == [Programme2]


def test_software_without_the_version_does_not_load_a_state_of_it() -> None:
    with version2.known():
        net = upgraded()
        kept = stored([net.state.drain_changes()])
    with pytest.raises(UnknownVersion, match="version 2"):
        State.load(kept)


@pytest.mark.usefixtures("version_2")
@pytest.mark.parametrize("spec", [{"revisions": (version2.REVISION,)}, {"since": 2}, {"until": 1}])
def test_where_any_software_finds_the_version_of_a_state_stays_as_it_is(spec: dict[str, Any]) -> None:
    with pytest.raises(InvariantError, match="table 16 versions stays as it is"):
        tables.revise("versions", version2.REVISION)
    number = tables.NUMBERS["versions"]
    was = tables._declared.pop(number)
    with pytest.raises(InvariantError, match="table 16 versions stays as it is"):
        tables.declare(dataclasses.replace(was, **spec))


@pytest.mark.usefixtures("version_2")
def test_a_proof_from_before_the_upgrade_verifies_after_it_and_the_other_way_round() -> None:
    net = network()
    net.define_money()
    holding = net.state.instruments[net.issue()].treasury_holding
    height = scheduled(net)
    go_to(net, height - 1)
    old, old_root = prove_record(net.state, net.state.holdings, holding), net.state.root()
    net.block()
    new, new_root = prove_record(net.state, net.state.holdings, holding), net.state.root()
    assert (old.version, new.version) == (1, 2)
    assert len(new.table_roots) == len(old.table_roots) + 1
    assert proven_record(old, holding, old_root) == proven_record(new, holding, new_root)
    release.learn(1)  # a verifier that is older than the state: the proof carries what it needs
    assert proven_record(new, holding, new_root) == net.state.holdings[holding]
