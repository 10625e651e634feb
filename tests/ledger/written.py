"""What docs/protocol.md says that each kind writes, and whether a block's postings and events are so."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ledger import kinds
from ledger.agenda import What
from ledger.codes import Code
from ledger.events import EVENT, PRESENT, RECORD
from ledger.execution import BlockOutcome
from ledger.postings import POSTING, Movement
from ledger.state import TABLES, State
from ledger.transactions import Transaction

_PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
_TABLE = _PAGE.partition("<!-- table: written -->")[2].strip().split("\n\n")[0].splitlines()[2:]
_CELLS = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in _TABLE]
PATTERNS = {row[0]: row[1] for row in _CELLS}
AGENDA = 1 << 31
BLOCK = (1 << 32) - 1


def _expression(pattern: str) -> str:
    """The notation of the page as a regular expression over words that each end in a blank."""
    words = {"or": "|", "nothing": "", "effect": f"(?:{_EFFECTS})" if "effect" in pattern else ""}
    return "".join(
        words.get(item, item if item in "()|?*" else f"(?:{re.escape(item)} )")
        for item in re.findall(r"[A-Za-z_.]+|[()?*]", pattern)
    )


_EFFECTS = "|".join(
    _expression(PATTERNS[kind.name]) for kind in kinds.DECLARED if kind.governed and kind.name in PATTERNS
)


class Written(NamedTuple):
    """Postings and events, as rows."""

    postings: bytes
    events: bytes


def words_of(outcome: BlockOutcome, by_hand: Written) -> dict[int, str]:
    """By cause what was written, in order; but what a test wrote into the state before the block."""
    postings = np.frombuffer(outcome.postings, POSTING)
    moved = [(int(row["cause"]), Movement(int(row["movement"])).name) for row in postings]
    written: dict[int, str] = defaultdict(str)
    done = len(by_hand.postings) // POSTING.itemsize
    for row in np.frombuffer(outcome.events[len(by_hand.events) :], EVENT):
        for cause, word in moved[done : int(row["after"])]:
            written[cause] += f"{word} "
        done = max(done, int(row["after"]))
        written[int(row["cause"])] += f"{_event(row)} "
    for cause, word in moved[done:]:
        written[cause] += f"{word} "
    return written


def _event(row: np.void) -> str:
    spec = TABLES[int(row["table"])]
    if row["field"] == RECORD:
        return f"{spec.name}.rewritten" if row["old"] == PRESENT else spec.name
    return f"{spec.name}.{spec.watched_fields[int(row['field']) - 1]}"


def check(state: State, transactions: Sequence[Transaction], outcome: BlockOutcome, by_hand: Written) -> None:
    """Assert that everything in the block was written in the order that the page says."""
    written = words_of(outcome, by_hand)
    for position, (tx, result) in enumerate(zip(transactions, outcome.results, strict=True)):
        kind, words = tx.definition, written.pop(position, "")
        if kind.name not in PATTERNS:
            continue  # of a version that exists for tests
        pattern = _expression(PATTERNS[kind.name])
        if kind.governed:
            pattern = f"(?:proposals )(?:(?:{pattern})?(?:proposals\\.status )+)?"
        _match(kind.name, pattern if result.code == Code.OK else "", words)
    _match("the block", _expression(PATTERNS["the block"]), written.pop(BLOCK, ""))
    for cause, words in written.items():
        what = What(state.agenda[cause - AGENDA].what).name
        _match(what, _expression(PATTERNS[what]), words)


def _match(by: str, pattern: str, words: str) -> None:
    assert re.fullmatch(pattern, words), f"{by} wrote {words or 'nothing'}; the page says {PATTERNS.get(by)}"
