"""docs/protocol.md says what each governed act rests on, claims and moves: its table is that of the kinds.

A kind is asked with a payload whose fields are their own names. What depends on the state stands in words, in
the table and here.
"""

from collections.abc import Iterator
from typing import Any

from ledger.agenda import What
from ledger.due import MOVES
from ledger.kind import Kind, Subject, Subjects, none
from ledger.kinds import DECLARED
from tests.house.test_protocol_doc import table

IN_WORDS = {
    ("node_update", "claims"): '["node name", node] of a new node, ["key", public_key] if it is given',
    ("institution_update", "claims"): '["key", key] of each officer who joins',
    ("kyc_restore", "rests on"): '["kyc", account] of each',
    ("freeze", "rests on"): '["target", target, index], of a holding or instrument also ["held", instrument]',
    ("lift", "moves"): 'the same, and ["target", target, index] of what it lifts',
    ("settlement_key_replace", "rests on"): '["settlement", vasp, signer], the signer being that of the VASP',
    ("settlement_key_restore", "moves"): "the same, and what a settlement_key_replace of this VASP rests on",
}


class Field:
    """A field that is its own name, whatever is asked of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "Field":
        return Field(name)

    def __iter__(self) -> Iterator["Field"]:
        yield self

    def __str__(self) -> str:
        return self._name


def said(kind: Kind, which: str, asked: Subjects) -> str:
    words = IN_WORDS.get((kind.name, which))
    if words is not None:
        return words
    payload: Any = Field("")
    state: Any = None
    return ", ".join(map(_written, asked(state, payload)))


def _written(subject: Subject) -> str:
    topic, *what = subject
    return "[" + ", ".join([f'"{topic}"', *map(str, what)]) + "]"


def row(kind: Kind) -> list[str]:
    rests_on = said(kind, "rests on", kind.rests_on)
    if kind.moves is None:
        moves = "the same" if rests_on else ""
    else:
        moves = "nothing" if kind.moves is none else said(kind, "moves", kind.moves)
    return [kind.name, rests_on, said(kind, "claims", kind.claims), moves]


def test_the_subjects_of_every_governed_act_are_those_of_the_code() -> None:
    page = [
        [act, *(cell.replace("`", "") for cell in cells)]
        for acts, *cells in table("subjects")
        for act in acts.replace("`", "").split(", ")
    ]
    assert sorted(page) == sorted(row(kind) for kind in DECLARED if kind.governed)


def test_what_time_moves_is_what_the_code_moves() -> None:
    page = [[what, moves.replace("`", "")] for what, _, moves, *_ in table("time")]
    subjects = {"PROPOSAL_EXPIRY": "proposal", "OFFER_CLOSE": "offer", "KEY_REPLACEMENT": "signer"}
    assert page == [[what.name, _moved(what, subjects.get(what.name, "instrument"))] for what in What]


def _moved(what: What, subject: str) -> str:
    return ", ".join(_written((topic, subject)) for topic in MOVES[what])
