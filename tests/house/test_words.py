"""Each refusal that the ledger can raise has one sentence in the catalogue, and no sentence is left over."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ledger.codes import Code
from ledger.fields import FIELDS
from ledger.words import CATALOGUE, SENTENCES, sentence_for

HOUSE = Path(__file__).parents[2]
LEDGER = sorted((HOUSE / "ledger").rglob("*.py"))
Key = tuple[Code, str | None, int]


def refusals() -> Iterator[tuple[str, set[Key]]]:
    """Each `Refused(...)` of the ledger: where it stands, and the keys under which it may be looked up."""
    for path in LEDGER:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                code, field, _, *operands = node.args
                more = sum(isinstance(operand, ast.Starred) for operand in operands)
                counts = range(len(operands) - more, len(operands) + 1)
                yield (
                    f"{path.relative_to(HOUSE)}:{node.lineno}",
                    {key for count in counts for key in _keys(_codes(code), field, count)},
                )


def _codes(node: ast.expr) -> set[Code]:
    match node:
        case ast.Attribute(value=ast.Name(id="Code"), attr=name):
            return {Code[name]}
        case ast.IfExp(body=body, orelse=orelse):
            return _codes(body) | _codes(orelse)
    return set(Code)


def _keys(codes: set[Code], field: ast.expr, operands: int) -> Iterator[Key]:
    """A field or a code that is a variable may be any that the catalogue knows for the rest of the key."""
    for code in codes:
        if isinstance(field, ast.Constant) and len(codes) < 3:
            yield code, str(field.value), operands
        else:
            yield from (
                key
                for key in CATALOGUE
                if key[0] is code
                and key[2] == operands
                and (not isinstance(field, ast.Constant) or key[1] == field.value)
            )


def test_every_refusal_has_a_sentence() -> None:
    silent = [
        place
        for place, keys in refusals()
        if not keys or not all(key in CATALOGUE or (key[0], None, key[2]) in CATALOGUE for key in keys)
    ]
    assert silent == []


def test_every_sentence_is_said() -> None:
    said = {key for _, keys in refusals() for key in keys}
    assert [key for key in CATALOGUE if key not in said] == []


def test_no_refusal_has_two_sentences() -> None:
    assert len(CATALOGUE) == len(SENTENCES)


def test_a_sentence_names_only_operands_that_there_are() -> None:
    odd = [
        sentence
        for sentence in SENTENCES
        for number in re.findall(r"(?<!\{)\{(\d+)", sentence.called + sentence.value + sentence.rule)
        if int(number) > sentence.operands
    ]
    assert odd == []


def test_every_field_is_named_by_a_rule() -> None:
    rules = [path for path in LEDGER if path.name not in ("fields.py", "words.py")]
    code = "".join(path.read_text() for path in [*rules, *(HOUSE / "api").rglob("*.py")])
    assert [name for name in FIELDS if f'"{name}"' not in code] == []


def test_a_refusal_without_a_sentence_is_still_shown_with_its_operands() -> None:
    assert sentence_for(Code.OVERDRAFT, "isin", 2).rule == "{1} {2}"
