"""In every test of the ledger, whatever is refused is also put into words."""

import pytest

from ledger.codes import Code, Plain, Refused
from ledger.fields import FieldName
from ledger.words import CATALOGUE, words_of


@pytest.fixture(autouse=True)
def _every_refusal_has_words(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Refused.__init__

    def said(self: Refused, code: Code, field: FieldName, *values: Plain) -> None:
        plain(self, code, field, *values)
        operands = len(values) - 1
        assert (code, field, operands) in CATALOGUE or (code, None, operands) in CATALOGUE
        assert words_of(self).rule

    monkeypatch.setattr(Refused, "__init__", said)
