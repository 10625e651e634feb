"""In every test of the ledger, whatever is refused is also put into words, and every block is held to the
page that says what each kind writes, in which order."""

from collections.abc import Iterator, Sequence

import pytest

from ledger.codes import Code, Plain, Refused
from ledger.execution import BlockFacts, BlockOutcome, apply_block
from ledger.fields import FieldName
from ledger.state import State
from ledger.transactions import Transaction
from ledger.words import CATALOGUE, words_of
from testing import ledger_network, version2
from tests.ledger import written


@pytest.fixture(autouse=True)
def _every_refusal_has_words(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Refused.__init__

    def said(self: Refused, code: Code, field: FieldName, *values: Plain) -> None:
        plain(self, code, field, *values)
        operands = len(values) - 1
        assert (code, field, operands) in CATALOGUE or (code, None, operands) in CATALOGUE
        assert words_of(self).rule

    monkeypatch.setattr(Refused, "__init__", said)


@pytest.fixture(autouse=True)
def _every_block_is_written_as_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def applied(state: State, facts: BlockFacts, transactions: Sequence[Transaction]) -> BlockOutcome:
        by_hand = written.Written(state.stream.postings(), state.stream.events())
        outcome = apply_block(state, facts, transactions)
        written.check(state, transactions, outcome, by_hand)
        return outcome

    monkeypatch.setattr(ledger_network, "apply_block", applied)


@pytest.fixture
def version_2() -> Iterator[None]:
    """Software that knows a version 2 (`testing.version2`)."""
    with version2.known():
        yield
