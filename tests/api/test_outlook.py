"""What an act would leave of the network, as officers are shown it before they sign."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from api.limits import UNSEEN_BLOCKS
from api.outlook import OutlookView, outlook, standing, unseen
from api.reads import READS
from api.refusals import Declined
from api.sources import Sighting, View
from ledger.documents import NodeRole, ProposalStatus
from ledger.kinds import BY_NAME
from ledger.kinds.institution_update import Root
from ledger.rows import Role
from primitives.codec import pack
from testing.keys import public
from testing.ledger_network import Network, make_genesis

NAMES = ("mof-1", "sbp-1", "pvara-1", "secp-1")


@dataclass
class Seen:
    """A view of a network by a node that has watched it for so long, and has seen these."""

    net: Network
    height: int = 500
    node: str = "mof-1"
    watched_blocks: int = UNSEEN_BLOCKS
    sightings: dict[str, Sighting] = field(
        default_factory=lambda: {name: Sighting(voted=500) for name in NAMES}
    )

    @property
    def state(self) -> Any:
        return self.net.state

    def seen(self, node: str) -> Sighting:
        return self.sightings.get(node, Sighting())


def foreseen(seen: Seen, kind: str, **fields: Any) -> OutlookView:
    found = outlook(cast(View, seen), BY_NAME[kind].payload(**fields))
    assert found is not None
    return found


def power(name: str, power: int, key: bytes = b"", proof: bytes = b"") -> dict[str, Any]:
    institution = ("mof", "sbp", "pvara", "secp", "fmu").index(name.partition("-")[0])
    role = NodeRole.VALIDATOR if power else NodeRole.OBSERVER
    who = {"node": name, "institution": institution, "role": role, "power": power}
    return {**who, "public_key": key, "proof": proof}


def test_power_for_a_node_that_nobody_saw_vote_is_named() -> None:
    seen = Seen(Network())
    seen.sightings["fmu-1"] = Sighting(connected=True, height=480)
    found = foreseen(seen, "node_update", **power("fmu-1", 1, public("new node"), bytes(64)))
    assert (found.empowered, found.unseen, found.watched_blocks) == ("fmu-1", True, UNSEEN_BLOCKS)
    assert (found.now.validators, found.then.validators, found.then.losable_nodes) == (4, 5, 1)
    assert found.words == (
        "after this act the network survives the loss of 1 of 5 validators, and of 1 whole institutions,"
        " whichever they are",
        "today it survives the loss of 1 of 4 validators, and of 1 whole institutions, whichever they are",
        "4 of the validators, the heaviest, decide a block",
        "fmu-1 is given power and none of its votes was seen in the last 100 blocks by mof-1, to which it is"
        " connected, at height 480",
        "while fmu-1 is down, 0 more of 5 validators may be lost",
    )


def test_power_for_a_node_that_votes_is_no_warning() -> None:
    found = foreseen(Seen(Network()), "node_update", **power("sbp-1", 2))
    assert (found.empowered, found.unseen) == ("sbp-1", False)
    silent = Seen(Network())
    silent.sightings["sbp-1"] = Sighting(voted=500 - UNSEEN_BLOCKS - 1)
    assert foreseen(silent, "node_update", **power("sbp-1", 2)).unseen


def test_what_the_network_would_not_survive_is_said_with_its_refusal() -> None:
    found = foreseen(Seen(Network()), "node_update", **power("sbp-1", 2))
    assert found.then.could_stop == ("sbp",)
    assert found.then.losable_nodes == 0
    assert "sbp alone could stop it" in found.words
    assert found.refused.startswith("out_of_range: losable_nodes = 0: must be at least 1")
    allowed = Network(make_genesis(parameters=(("losable_nodes_min", 0), ("losable_institutions_min", 0))))
    assert foreseen(Seen(allowed), "node_update", **power("sbp-1", 2)).refused == ""


def test_less_asked_of_the_network_is_said() -> None:
    found = foreseen(Seen(Network()), "parameter_set", name="losable_nodes_min", value=0)
    assert found.words == (
        "losable_nodes_min goes from 1 to 0, losable_nodes is 1 now: a node_update may from then"
        " on leave it at 0",
        "so the network may come to survive less than the ledger allows today",
    )
    more = foreseen(Seen(Network()), "parameter_set", name="losable_nodes_min", value=2)
    assert len(more.words) == 1
    idle = BY_NAME["parameter_set"].payload(name="idle_ms", value=700)
    assert outlook(cast(View, Seen(Network())), idle) is None


def test_an_institution_that_is_changed_shows_its_spare_keys_and_whom_it_cuts_off() -> None:
    seen = Seen(Network())
    seen.sightings["sbp-1"] = replace(seen.sightings["sbp-1"], root=b"ca root of sbp")
    fields: dict[str, Any] = {"institution": 1, "title": "", "threshold": 3, "remove": (), "add": ()}
    found = foreseen(seen, "institution_update", **fields, ca_roots=(Root(b"new", 0),))
    assert (found.spare_officers, found.cut_off) == (0, ("sbp-1",))
    assert found.words == (
        "sbp then approves with 3 of 3 officers: it can lose 0 of their keys",
        "a root of sbp ends with the act: of the peers of mof-1 under it, sbp-1 lose their connections",
    )
    both = foreseen(
        seen, "institution_update", **fields, ca_roots=(Root(b"ca root of sbp", 9), Root(b"new", 0))
    )
    assert both.cut_off == ()


def test_health_says_what_is_lost_already() -> None:
    seen = Seen(Network())
    assert unseen(cast(View, seen)) == ()
    del seen.sightings["secp-1"]
    silent = unseen(cast(View, seen))
    assert silent == ("secp-1",)
    assert standing(cast(View, seen), silent)[1] == (
        "no vote of secp-1 was seen in the last 100 blocks: with that lost, 0 more of the validators may be"
    )
    seen.watched_blocks = UNSEEN_BLOCKS - 1
    assert unseen(cast(View, seen)) == ()


def test_an_open_proposal_carries_it_and_a_decided_one_does_not() -> None:
    net = Network()
    key = {"key": public("new node"), "proof": net.prove("new node", Role.NODE, "fmu", "fmu-1")}
    (index,) = net.ok("node_update", "mof1 mof2", **power("fmu-1", 1, **key))
    read = READS["proposal_get"]
    shown = read.answer(Seen(net), read.question(proposal=index))
    assert (shown.outlook.then.validators, shown.outlook.unseen) == (5, True)
    net.ok("approve", "sbp1 sbp2", proposal=index, reason=0)
    net.ok("approve", "secp1 secp2", proposal=index, reason=0)
    assert net.proposal(index).status is ProposalStatus.EXECUTED
    assert read.answer(Seen(net), read.question(proposal=index)).outlook is None


def test_a_preview_says_the_same_before_there_is_a_proposal() -> None:
    seen, read = Seen(Network()), READS["act_preview"]
    payload = BY_NAME["node_update"].payload(**power("sbp-1", 2))
    asked = read.question(kind="node_update", payload=pack(payload))
    assert read.answer(seen, asked).outlook == outlook(cast(View, seen), payload)
    for wrong in ({"kind": "node_udpate", "payload": b""}, {"kind": "node_update", "payload": b"\xc0"}):
        with pytest.raises(Declined):
            read.answer(seen, read.question(**wrong))
