"""docs/protocol.md lists every refusal of every kind, in the order in which they are looked for.

The order is read out of the code: a kind's `check` is walked as it stands, and what it calls in the ledger
with it. Rows of a batch, which are refused by code alone, and the refusals of admission have tables of
their own.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ledger import admission, kinds, proposals, settlement, terms, transfers, window
from ledger.codes import Code
from ledger.kind import Context
from ledger.parameters import Bounds
from ledger.terms import Act

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
DEPTH_MAX = 8

Refusal = tuple[str, str, int]  # the code, the field, how many operands follow the value
Bound = dict[str, Any]  # parameters of a function that is called with a constant


class Walk(ast.NodeVisitor):
    """The refusals of one function, in the order of its text, with those of what it calls."""

    def __init__(self, function: FunctionType, bound: Bound, depth: int = 0) -> None:
        assert depth < DEPTH_MAX, f"{function.__qualname__} calls too deep, or itself"
        self.found: list[Refusal] = []
        self._names = function.__globals__
        self._bound = bound
        self._depth = depth
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        for statement in tree.body[0].body:  # type: ignore[attr-defined]
            self.visit(statement)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        match node.func:
            case ast.Name(id="Refused"):
                code, field, _, *operands = node.args
                count = self._count(operands)
                self.found += [(one.word, self._value(field), count) for one in self._codes(code)]
            case ast.Attribute(value=ast.Attribute(), attr="require"):  # of a table of state
                self.found.append(("not_found", self._value(node.args[1]), len(node.args) - 1))
            case ast.Attribute(value=ast.Name(id="ctx"), attr=name):
                self._call(getattr(Context, name), node, skip=1)
            case ast.Attribute(value=ast.Name(id="bounds"), attr="refusal"):
                self._call(Bounds.refusal, node, skip=1)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                owner = self._names.get(name)
                if isinstance(owner, ModuleType):
                    self._call(getattr(owner, attribute), node)
                elif attribute == "require":  # of a table that has a name here
                    self.found.append(("not_found", self._value(node.args[1]), len(node.args) - 1))
            case ast.Name(id=name):
                self._call(self._names.get(name), node)

    def _call(self, function: Any, node: ast.Call, skip: int = 0) -> None:
        if function is terms.check:
            for family in terms.FAMILIES.values():
                if Act.ISSUE in family.acts:
                    self.found += Walk(family.check, {}, self._depth + 1).found  # type: ignore[arg-type]
        elif isinstance(function, FunctionType) and function.__module__.startswith("ledger"):
            parameters = list(inspect.signature(function).parameters.values())[skip:]
            names = [each.name for each in parameters if each.kind is not each.VAR_POSITIONAL]
            given = dict(zip(names, node.args, strict=False))
            bound = {name: self._value(value) for name, value in given.items() if self._is_known(value)}
            bound["*"] = len(node.args) - len(given)
            self.found += Walk(function, bound, self._depth + 1).found

    def _count(self, operands: list[ast.expr]) -> int:
        """How many operands; a starred one stands for all that the caller gave beyond the parameters."""
        return sum(self._bound["*"] if isinstance(each, ast.Starred) else 1 for each in operands)

    def _is_known(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in self._bound)

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._bound[name]
        raise AssertionError(f"{ast.unparse(node)}: a field must be plain to read")

    def _codes(self, node: ast.expr) -> Iterator[Code]:
        match node:
            case ast.Attribute(value=ast.Name(id="Code"), attr=name):
                yield Code[name]
            case ast.Name(id="code"):  # what the window says of a sequence
                words = ast.walk(ast.parse(inspect.getsource(window.check)))
                found = [each for each in words if isinstance(each, ast.Attribute)]
                for each in sorted(found, key=lambda word: (word.lineno, word.col_offset)):
                    if each.attr != "OK":
                        yield Code[each.attr]
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._codes(body)
                yield from self._codes(orelse)
            case _:
                raise AssertionError(f"{ast.unparse(node)}: a code must be plain to read")


def refusals(*functions: Any) -> list[Refusal]:
    """Those of the functions, one after another; the same one twice in a row counts once."""
    return [
        each for each, _ in groupby(found for function in functions for found in Walk(function, {}).found)
    ]


def expected() -> list[list[str]]:
    declared = sorted((kind.number, kind) for kind in kinds.DECLARED)
    asked = {
        "any kind": refusals(Context.authorise),
        "any governed kind": refusals(proposals._signatures, proposals._check_room),
        **{kind.name: refusals(kind.check) for _, kind in declared},
        "any governed kind, last": refusals(proposals._check_unclaimed),
    }
    return [
        [name, code, field, str(operands)] for name, found in asked.items() for code, field, operands in found
    ]


def rows_refused_alone() -> list[list[str]]:
    """The check of one row each; that a whole batch gives its rows the same codes other tests say."""
    asked = {"transfer_batch": transfers.check_transfer, "offer_take": settlement._check_row}
    return [[kind, code, field] for kind, check in asked.items() for code, field, _ in refusals(check)]


def refused_by_admission() -> list[list[str]]:
    alone = refusals(admission.check_envelope)
    in_block = [each for each in refusals(admission.BlockAdmission.check) if each not in alone]
    asked = {"a transaction": alone, "the next of a block": in_block}
    return [
        [of, code, field, str(operands)] for of, found in asked.items() for code, field, operands in found
    ]


def said(name: str = "refusals") -> list[list[str]]:
    marker = f"<!-- table: {name} -->"
    assert TEXT.count(marker) == 1
    lines = TEXT.partition(marker)[2].strip().split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_each_refusal_of_each_kind_stands_on_the_page_in_order() -> None:
    assert [row[:4] for row in said()] == expected()


def test_the_codes_of_rows_that_fail_alone_stand_on_the_page_in_order() -> None:
    assert [row[:3] for row in said("rows refused alone")] == rows_refused_alone()
    assert [row for row in said("rows refused alone") if len(row) != 4 or not all(row)] == []


def test_the_refusals_of_admission_stand_on_the_page_in_order() -> None:
    found = said("refusals of admission")
    assert [row[:4] for row in found] == refused_by_admission()
    assert [row for row in found if len(row) != 6 or len(row[4].split(", ")) != 1 + int(row[3])] == []


def test_each_refusal_says_its_values_and_its_rule() -> None:
    assert [row for row in said() if len(row) != 6 or not all(row)] == []
    assert [row for row in said() if len(row[4].split(", ")) != 1 + int(row[3])] == []
