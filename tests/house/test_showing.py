"""What of each record is served, and what is withheld and why: nothing is shown because somebody added it."""

import re
from pathlib import Path
from typing import Any

import pytest

from api.fields import Shown
from api.reads import READS, accounts, institutions, instruments, nodes, proposals, restrictions
from api.showing import shown
from ledger import documents, rows

API = Path(__file__).parents[2] / "api"

SHOWN: dict[Any, type[Shown]] = {
    documents.Institution: institutions.InstitutionView,
    documents.Policy: institutions.PolicyView,
    documents.Parameter: institutions.ParameterReply,
    documents.Vasp: institutions.VaspView,
    documents.Programme: instruments.ProgrammeReply,
    documents.Fixing: instruments.FixingView,
    documents.Instrument: instruments.InstrumentView,
    documents.Offer: instruments.OfferView,
    documents.Approval: proposals.SignatureView,
    documents.Proposal: proposals.ProposalView,
    documents.Restriction: restrictions.RestrictionView,
    documents.Node: nodes.NodeView,
    documents.CaRoot: nodes.CaRootView,
    rows.Account: accounts.AccountReply,
    rows.Holding: accounts.HoldingView,
    rows.Signer: accounts.SignerReply,
    rows.Due: instruments.DueView,
}
RENAMED = {
    "Approval.height": "block",
    "Account.flags": "frozen",
    "Holding.flags": "frozen",
    "Signer.flags": "status",
    "Signer.number": "officer_number",
    "Proposal.values": "value",  # and the rule beside it, in words
    "Instrument.terms": "family",  # and the facts of its terms beside it
}
WITHHELD = {
    "Institution.ca_roots": "ca_root_list shows them",
    "Vasp.returns_to": "a suspension does not say what follows it",
    "Vasp.goaml_reference": "what passes between the FMU and a VASP is nobody else's",
    "Proposal.maker": "the first of the approvals, which hide who acted where that is confidential",
    "Node.offended": "what blocks may hold next, not what is known of a node",
    "Account.first_holding": "holding_list follows it",
    "Account.institution": "an institution names its treasury",
    "Holding.next_holding": "holding_list follows it",
    "Signer.enrolled_at": "not asked for yet",
    "Signer.reserved": "zero",
    "Instrument.redemption": "the agenda's own",
    "Offer.due": "the agenda's own",
    "Proposal.due": "the agenda's own",
    "Proposal.rests_on": "follows from the payload; it lists proposals by what would close them",
    "Proposal.claims": "how many of those it keeps for itself",
}


def fields_of(record: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(record, "__struct_fields__", None) or record._fields
    return names


@pytest.mark.parametrize("record", SHOWN, ids=lambda record: record.__name__)
def test_each_field_of_a_record_is_served_or_withheld_for_a_reason(record: Any) -> None:
    """A new field goes into the class that shows its record, or into WITHHELD with the reason."""
    undecided = []
    for field in fields_of(record):
        full = f"{record.__name__}.{field}"
        is_served = RENAMED.get(full, field) in SHOWN[record].__struct_fields__
        if is_served == (full in WITHHELD):
            undecided.append(full)
    assert undecided == []


def test_nothing_is_withheld_that_does_not_exist() -> None:
    there = {f"{record.__name__}.{field}" for record in SHOWN for field in fields_of(record)}
    assert {*WITHHELD, *RENAMED} - there == set()


def test_a_record_is_shown_by_its_own_fields_and_what_differs() -> None:
    fixing = documents.Fixing(2_800_000, 5, 6)
    view = shown(instruments.FixingView, fixing, fixing=3)
    assert (view.fixing, view.rate_e4, view.as_of_ms, view.attested_ms) == (3, 2_800_000, 5, 6)


def test_an_index_that_refers_to_nothing_is_shown_as_none() -> None:
    institution = documents.Institution("fmu", "FMU", False, 2, (1, 2), documents.NONE, b"root")
    assert shown(institutions.InstitutionView, institution, institution=4).treasury is None


def test_no_read_copies_a_record_field_by_field() -> None:
    """`title=vasp.title`: what has the same name in the record comes by itself."""
    copied = [
        f"{path.name}: {found[0]}"
        for path in sorted((API / "reads").glob("*.py"))
        for found in re.finditer(r"\b(\w+)=\w+\.(\w+)\b(?=[,)\n])", path.read_text())
        if found[1] == found[2] and found[0].split("=")[1].split(".")[0] not in ("view", "node")
    ]
    assert copied == []


def test_every_reply_names_the_height_of_the_state_that_it_shows() -> None:
    assert [name for name, read in READS.items() if "height" not in read.reply.__struct_fields__] == []


def test_every_read_says_what_it_asks_and_what_it_tells() -> None:
    silent = [name for name, read in READS.items() if not read.description or not read.reply.__doc__]
    assert silent == []
