"""Nobody outside ledger/terms asks which family an instrument is of: whoever wants an answer asks there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import rights, terms
from ledger.agenda import What
from ledger.terms.cash import Cash
from ledger.terms.discount import Discount

HOUSE = Path(__file__).parents[2]
LAYERS = ("ledger", "node", "api", "wire", "storage", "config", "gateway", "client", "cli", "devnet")
FAMILIES = {kind.__module__ for kind in terms.FAMILIES}
# The one act that defines cash makes its terms; nobody else names a family.
MAKERS = {"ledger/kinds/cash_define.py": "ledger.terms.cash"}


def sources() -> Iterator[tuple[str, ast.AST]]:
    for layer in LAYERS:
        for path in sorted((HOUSE / layer).rglob("*.py")):
            name = str(path.relative_to(HOUSE))
            if not name.startswith("ledger/terms/"):
                yield name, ast.parse(path.read_text())


def questions(name: str, tree: ast.AST) -> Iterator[str]:
    """Where the module names a family, looks into a variant of terms, or compares the word for one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in FAMILIES and MAKERS.get(name) != node.module:
            yield f"{name}:{node.lineno}: imports {node.module}"
        if isinstance(node, ast.Attribute) and getattr(node.value, "attr", "") == "terms":
            yield f"{name}:{node.lineno}: reads .terms.{node.attr}"
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Attribute) and side.attr == "family":
                    yield f"{name}:{node.lineno}: compares .family"


def test_no_other_module_asks_for_an_instruments_family() -> None:
    assert [found for name, tree in sources() for found in questions(name, tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "from ledger.terms.discount import Discount",
        "face = instrument.terms.face_minor",
        "if facts.family == 'cash': pass",
    ],
)
def test_the_house_sees_who_asks(code: str) -> None:
    assert list(questions("ledger/offers.py", ast.parse(code)))


# One of each family, which every question is asked of.
SPECIMENS: list[terms.Terms] = [Cash(), Discount(500_000, 20_780, 20_864, 93_784)]


def test_one_of_each_family_is_asked() -> None:
    assert [type(variant) for variant in SPECIMENS] == [*terms.FAMILIES]


@pytest.mark.parametrize("variant", SPECIMENS)
def test_every_family_answers_every_question(variant: terms.Terms) -> None:
    assert terms.right(variant) in rights.RIGHTS
    assert terms.face_minor(variant) >= 1
    assert terms.price_e4(variant) >= 1
    closes_ms = terms.closes_ms(variant)
    assert closes_ms >= 0
    for what, due_ms, detail in terms.falls_due(variant):
        assert isinstance(what, What)
        assert 0 < due_ms <= closes_ms
        assert detail >= 0
    whats = [what for what, _, _ in terms.falls_due(variant)]
    assert (What.REDEMPTION in whats) == terms.may(variant, terms.Act.REDEEM)
    assert terms.facts(variant).family == type(variant).__name__.lower()


def test_the_numbers_of_the_variants_are_those_of_their_families_and_stand_once() -> None:
    numbers = [variant.__struct_config__.tag for variant in terms.FAMILIES]
    assert numbers == sorted(set(numbers))
