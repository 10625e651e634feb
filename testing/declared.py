"""What a version of the protocol declares, one line a thing, so that a change of any of it is seen.

What a kind does stands in its code, and the recorded chain replays it. What is declared beside the code is
easily altered by a later release that means its own version, and no chain of today would show it.
"""

from collections.abc import Sequence
from difflib import ndiff
from enum import IntEnum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from ledger import agenda, codes, documents, fields, limits, postings, rights, rows
from ledger.policies import default_policies_at
from ledger.release import newest
from ledger.state import TABLES, TableSpec
from ledger.terms import FAMILIES
from ledger.versions import rules

FOLDER = Path(__file__).parents[1] / "tests" / "ledger" / "fixtures"

# What a number or a name here means is the same in all versions, so a later one adds to all of them.
GROWING = ("+ code ", "+ field ", "+ movement ", "+ what ", "+ family ", "+ limit ")
_NOT_PROTOCOL = ("DUE_STALE_MAX",)


def pinned(version: int) -> Path:
    """Where a version's lines are kept."""
    return FOLDER / f"declared-{version}.txt"


def listing(version: int) -> list[str]:
    """Everything that `version` declares, a line each."""
    of = rules(version)
    lines = [
        f"kind {kind.number} {kind.name}: {kind.lane.name} {kind.signers.name}"
        f"{' governed' if kind.governed else ''} {shape(kind.payload)}"
        f" costs {kind.cost.flat} {[(each.units, each.what) for each in kind.cost.each]}"
        for _, kind in sorted(of.kinds.items())
    ]
    lines += [
        f"parameter {name}: {bounds.first} from {bounds.minimum} to {bounds.maximum} {bounds.names}"
        for name, bounds in of.bounds.items()
    ]
    for act in of.governed:
        rule, names = default_policies_at(version)[act]
        lines.append(f"policy {act}: {rule.name} {names}")
    lines += [
        f"right {act}: {[int(stage) for stage in right.stages]} {right.categories} {right.service}"
        for act, right in rights.RIGHTS.items()
        if right.since <= version
    ]
    lines += [f"categories {rights.CATEGORIES}", f"block {of.limits}"]
    for number, spec in sorted(TABLES.items()):
        if spec.in_force(version):
            lines.append(f"table {number} {spec.name} by {spec.key}: {_layout(spec, version)}")
            lines.append(f"watched {number} {spec.name}: {tuple(spec.watch_at(version))}")
    lines += _members("code", codes.Code)
    lines += [f"field {number} {name}" for name, number in fields.FIELDS.items()]
    lines += _members("movement", postings.Movement)
    lines += _members("what", agenda.What)
    lines += _members("progress", agenda.Progress)
    lines += [f"enum {shape(each)}" for each in (rows.Role, rows.AccountType, documents.RestrictionKind)]
    lines += [
        f"family {shape(variant)}: {family.right} {[int(act) for act in sorted(family.acts)]}"
        for variant, family in sorted(FAMILIES.items(), key=_tag)
    ]
    lines += [
        f"limit {name} {value}"
        for name, value in sorted(vars(limits).items())
        if isinstance(value, int) and name not in _NOT_PROTOCOL
    ]
    return lines


def altered(version: int, before: Sequence[str]) -> list[str]:
    """What differs between the lines that a version had, in their order, and those that it has. New lines of
    GROWING may have come to it with a later one."""
    brought = GROWING if version < newest() else ()
    differing = [line for line in ndiff(before, listing(version)) if line[0] in "+-"]
    return [line for line in differing if not line.startswith(brought)]


def shape(declared: Any) -> str:
    """A type in words that no release of Python or msgspec words otherwise."""
    origin, inner = get_origin(declared), get_args(declared)
    if origin is Annotated:
        bounds = [
            f"{name}={value}"
            for meta in inner[1:]
            for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
            if (value := getattr(meta, name)) is not None
        ]
        return f"{shape(inner[0])}[{' '.join(bounds)}]"
    if origin in (Union, UnionType):
        return " | ".join(map(shape, inner))
    if origin is tuple:
        return f"({', '.join('...' if item is Ellipsis else shape(item) for item in inner)})"
    if declared is Any:
        return "any"
    if issubclass(declared, IntEnum):
        return f"{declared.__name__}{{{', '.join(f'{int(each)} {each.name}' for each in declared)}}}"
    if issubclass(declared, msgspec.Struct):
        hints = get_type_hints(declared, include_extras=True)
        parts = [f"{name}: {shape(hints[name])}" for name in declared.__struct_fields__]
        tag = declared.__struct_config__.tag
        return f"{{{', '.join(parts if tag is None else [str(tag), *parts])}}}"
    name: str = declared.__name__
    return name


def _layout(spec: TableSpec, version: int) -> str:
    if spec.dtype is not None:
        return str(spec.dtype.descr)
    schemas = [spec.schema, *(revision.schema for revision in spec.revisions if revision.since <= version)]
    return shape(schemas[-1])


def _members(word: str, members: type[IntEnum]) -> list[str]:
    return [f"{word} {int(member)} {member.name}" for member in members]


def _tag(item: tuple[Any, Any]) -> int:
    tag: int = item[0].__struct_config__.tag
    return tag


def write(version: int) -> None:
    """Keep what `version` declares now."""
    pinned(version).write_text("".join(f"{line}\n" for line in listing(version)))
