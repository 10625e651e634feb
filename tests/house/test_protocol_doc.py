"""docs/protocol.md is normative: its tables of tags, kinds, codes, records and limits are the code's."""

import enum
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from consensus import encoding, quorum
from consensus import messages as consensus_messages
from ledger import (
    agenda,
    documents,
    events,
    kinds,
    limits,
    postings,
    rights,
    rows,
    state,
    tables,
    terms,
    transactions,
    transfers,
    window,
)
from ledger.alphabet import RANGES
from ledger.codes import Code
from ledger.fields import FIELDS
from ledger.parameters import bounds_at
from ledger.policies import default_policies_at
from ledger.release import FIRST
from ledger.terms.family import Variant
from primitives import codec, hashing, merkle, signatures
from wire import blocks, frames, messages

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
Table = list[list[str]]


def table(name: str) -> Table:
    """The cells of the table that follows the comment `<!-- table: name -->`, without its head."""
    marker = f"<!-- table: {name} -->"
    assert TEXT.count(marker) == 1, f"docs/protocol.md must mark one table {name}"
    lines = TEXT.partition(marker)[2].strip().splitlines()
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip().strip("`") for cell in line.strip("|").split(" | ")])
    return found[2:]


def describe(declared: Any) -> str:
    """A schema in the words of the document."""
    metas: list[msgspec.Meta] = []
    while get_origin(declared) is Annotated:
        declared, *more = get_args(declared)
        metas += [meta for meta in more if isinstance(meta, msgspec.Meta)]
    limits = {
        name: getattr(meta, name)
        for meta in metas
        for name in ("ge", "le", "lt", "min_length", "max_length")
        if getattr(meta, name) is not None
    }
    origin = get_origin(declared)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in get_args(declared))
    if declared is type(None):
        return "nil"
    if declared is Any:  # of codes.Plain
        return "int, bytes or text"
    if declared is bool:
        return "bool"
    if declared is int:
        below = limits.get("lt")
        return f"int{_range(limits.get('ge'), limits.get('le') if below is None else below - 1)}"
    if declared in (bytes, str):
        return f"{'text' if declared is str else 'bytes'}{_lengths(limits)}"
    if origin is tuple:
        items = get_args(declared)
        if len(items) == 2 and items[1] is Ellipsis:
            return f"list{_lengths(limits)} of {describe(items[0])}"
        return f"({', '.join(describe(item) for item in items)})"
    if isinstance(declared, type) and issubclass(declared, Variant):
        return declared.__name__
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        return f"({fields_of(declared)})"
    if isinstance(declared, type) and issubclass(declared, enum.IntEnum):
        return declared.__name__
    raise AssertionError(f"no words for {declared!r}")


def fields_of(struct: type[msgspec.Struct]) -> str:
    hints = get_type_hints(struct, include_extras=True)
    return ", ".join(f"{name}: {describe(hints[name])}" for name in struct.__struct_fields__)


def _range(low: int | None, high: int | None) -> str:
    if low is None and high is None:
        return ""
    return f" {_power(low or 0)}..{'' if high is None else _power(high)}"


def _lengths(limits: dict[str, int]) -> str:
    low, high = limits.get("min_length", 0), limits.get("max_length")
    if high is None:
        return f" {low}.." if low else ""
    return f" {low}" if low == high else f" {low}..{high}"


def _power(number: int) -> str:
    """2^32-1 rather than 4294967295."""
    for bits in (31, 32, 53, 62, 63, 64):
        for below in (0, 1, 2):
            if number == 2**bits - below:
                return f"2^{bits}-{below}" if below else f"2^{bits}"
    return str(number)


def layout(dtype: np.dtype[Any]) -> Iterable[list[str]]:
    for name in dtype.names or ():
        kind, offset = (dtype.fields or {})[name][:2]
        words = {1: "u8", 2: "u16", 4: "u32", 8: "u64", 32: "32 bytes"}
        yield [str(offset), name, words[kind.itemsize]]


def expected(name: str) -> Table:
    """The same table, as the code has it."""
    match name:
        case "tags":
            return [
                [name, tag.rstrip(b"\0").decode()]
                for name, tag in vars(hashing).items()
                if name.isupper() and isinstance(tag, bytes) and tag.endswith(b"\0") and len(tag) < 32
            ]
        case "codes":
            return [[str(int(code)), code.word] for code in Code]
        case "fields of refusals":
            return [[str(number), name] for name, number in FIELDS.items()]
        case "kinds":
            return [
                [
                    str(kind.number),
                    kind.name,
                    kind.lane.name.lower(),
                    kind.signers.name.lower(),
                    "governed" if kind.governed else "direct",
                    fields_of(kind.payload),
                ]
                for _, kind in sorted((kind.number, kind) for kind in kinds.DECLARED)
            ]
        case "terms":
            return [
                [str(variant.__struct_config__.tag), variant.__name__, fields_of(variant)]
                for variant in terms.FAMILIES
            ]
        case "written":
            names = [kind.name for _, kind in sorted((kind.number, kind) for kind in kinds.DECLARED)]
            return [[name] for name in (*names, *(what.name for what in agenda.What), "the block")]
        case "tables":
            return [
                [
                    str(number),
                    spec.name,
                    "documents" if spec.dtype is None else f"rows of {spec.dtype.itemsize} bytes",
                ]
                for number, spec in sorted(state.TABLES.items())
            ]
        case "documents":
            return [
                [spec.name, ", ".join(spec.schema.__struct_fields__)]
                for _, spec in sorted(state.TABLES.items())
                if spec.schema is not None
            ]
        case "fields":
            return [
                [spec.name, field, describe(hint)]
                for _, spec in sorted(state.TABLES.items())
                if spec.schema is not None
                for field, hint in get_type_hints(spec.schema, include_extras=True).items()
            ]
        case "accounts" | "holdings" | "signers" | "agenda":
            return list(layout(getattr(state.State.empty(), name).dtype))
        case "postings":
            return list(layout(postings.POSTING))
        case "events":
            return list(layout(events.EVENT))
        case "movements":
            return [
                [str(int(movement)), movement.name, movement.form.name.lower()]
                for movement in postings.Movement
            ]
        case "watched":
            return [
                [
                    spec.name,
                    "yes" if spec.watch_at(1).created else "no",
                    "yes" if spec.watch_at(1).rewritten else "no",
                    ", ".join(
                        f"{number} {field}" for number, field in enumerate(spec.watched_fields, start=1)
                    ),
                ]
                for _, spec in sorted(state.TABLES.items())
            ]
        case "parameters":
            return [
                [
                    name,
                    ", ".join(value) if isinstance(value := bounds.first, tuple) else str(value),
                    "" if bounds.minimum is None else _power(bounds.minimum),
                    "" if bounds.maximum is None else _power(bounds.maximum),
                    bounds.meaning,
                ]
                for name, bounds in bounds_at(1).items()
            ]
        case "policies":
            return [
                [act, rule.name.lower(), ", ".join(names)]
                for act, (rule, names) in default_policies_at(1).items()
            ]
        case "rights":
            return [
                [
                    act,
                    ", ".join(stage.name for stage in right.stages),
                    "any" if right.categories == rights.CATEGORIES else ", ".join(right.categories),
                    "yes" if right.service else "no",
                ]
                for act, right in rights.RIGHTS.items()
            ]
        case "costs":
            return [
                [
                    kind.name,
                    str(kind.cost.flat),
                    ", ".join(f"{each.units}: {each.what}" for each in kind.cost.each),
                ]
                for kind in sorted(kinds.DECLARED, key=lambda kind: kind.number)
            ]
        case "messages":
            return [
                [str(number), schema.__name__, channel.name.lower(), fields_of(schema)]
                for number, schema, channel in messages.KINDS
            ]
        case "alphabet":
            return [[f"U+{first:04X}", f"U+{last:04X}", script.name] for first, last, script in RANGES]
        case "header":
            hints = get_type_hints(blocks.Header, include_extras=True)
            return [[field, describe(hints[field])] for field in blocks.Header.__struct_fields__]
        case "limits":
            return [
                ["nesting of an encoded value", str(codec.CODEC_DEPTH_MAX)],
                ["levels in the path of a proof", str(merkle.MERKLE_DEPTH_MAX)],
                ["bytes of a transaction", str(transactions.TRANSACTION_BYTES_MAX)],
                ["signers of a transaction", str(transactions.SIGNERS_MAX)],
                ["rows in a batch", str(transfers.BATCH_ROWS_MAX)],
                ["sequences in flight per signer", str(window.WINDOW)],
                ["bytes of a document", str(tables.DOCUMENT_BYTES_MAX)],
                ["rows in a leaf", str(tables.LEAF_ROWS)],
                ["postings or events hashed together", str(postings.CHUNK_ROWS)],
                ["bytes of a block, whatever the parameter says", str(blocks.BLOCK_BYTES_CAP)],
                ["validators in a set", str(quorum.VALIDATORS_MAX)],
                ["total power of a set", _power(quorum.POWER_TOTAL_MAX)],
                ["bytes of one evidence", str(encoding.EVIDENCE_BYTES_MAX)],
                ["bytes of a frame", str(frames.FRAME_BYTES_MAX)],
                ["cost of every transaction", str(limits.block_limits_at(FIRST).transaction_cost)],
                ["cost of each of its signatures", str(limits.block_limits_at(FIRST).signature_cost)],
                ["bytes of it that cost one", str(limits.block_limits_at(FIRST).bytes_a_unit)],
            ]
    raise AssertionError(f"no table {name}")


def first_columns(name: str) -> Table:
    """The document may add columns of prose to the right of what the code knows."""
    wanted = expected(name)
    return [row[: len(wanted[0])] for row in table(name)]


def test_the_tags_are_those_of_the_code() -> None:
    assert first_columns("tags") == expected("tags")


def test_the_result_codes_are_those_of_the_code() -> None:
    assert first_columns("codes") == expected("codes")


def test_the_fields_of_refusals_are_those_of_the_code() -> None:
    assert first_columns("fields of refusals") == expected("fields of refusals")


def test_every_result_code_is_explained() -> None:
    assert [row[1] for row in table("codes") if len(row) < 3 or len(row[2]) < 10] == []


def test_the_kinds_and_their_payloads_are_those_of_the_code() -> None:
    assert first_columns("kinds") == expected("kinds")


def test_the_terms_of_instruments_are_those_of_the_code() -> None:
    assert first_columns("terms") == expected("terms")


def test_every_kind_has_a_paragraph_of_rules() -> None:
    rules = TEXT.partition("### What each kind does")[2]
    assert [kind.name for kind in kinds.DECLARED if f"**`{kind.name}`" not in rules] == []


def test_all_that_writes_says_what_it_writes_in_which_order() -> None:
    assert first_columns("written") == expected("written")


def test_the_tables_of_state_are_those_of_the_code() -> None:
    assert first_columns("tables") == expected("tables")
    assert first_columns("documents") == expected("documents")


def test_each_field_of_each_document_is_explained() -> None:
    assert first_columns("fields") == expected("fields")
    assert [row[:2] for row in table("fields") if len(row) < 4 or len(row[3]) < 5] == []


# Fields of several tables that mean the same in each of them; any other meaning is one field's own.
SHARED_MEANINGS = {
    "as it calls itself": ["institutions", "vasps"],
    "an open freeze has it as its target": ["vasps", "instruments"],
}


def test_the_meaning_of_a_field_is_that_of_its_own_table() -> None:
    told: dict[tuple[str, str], list[str]] = {}
    for owner, field, _, meaning in table("fields"):
        told.setdefault((field, meaning), []).append(owner)
    assert {meaning: owners for (_, meaning), owners in told.items() if len(owners) > 1} == SHARED_MEANINGS


def test_the_row_layouts_are_those_of_the_code() -> None:
    for name in ("accounts", "holdings", "signers", "agenda"):
        assert first_columns(name) == expected(name)


def test_the_alphabet_of_texts_is_that_of_the_code() -> None:
    assert first_columns("alphabet") == expected("alphabet")


def test_postings_and_events_are_those_of_the_code() -> None:
    for name in ("postings", "events", "movements", "watched"):
        assert first_columns(name) == expected(name)


def test_the_header_is_that_of_the_code() -> None:
    assert first_columns("header") == expected("header")


def test_the_parameters_are_those_of_the_code() -> None:
    assert first_columns("parameters") == expected("parameters")


def test_the_default_policies_are_those_of_the_code() -> None:
    assert first_columns("policies") == expected("policies")


def test_the_rights_of_vasps_are_those_of_the_code() -> None:
    assert first_columns("rights") == expected("rights")


def test_the_costs_of_kinds_are_those_of_the_code() -> None:
    assert first_columns("costs") == expected("costs")


def test_the_messages_between_nodes_are_those_of_the_code() -> None:
    assert first_columns("messages") == expected("messages")


def test_the_limits_are_those_of_the_code() -> None:
    assert first_columns("limits") == expected("limits")


def test_the_enumerations_are_those_of_the_code() -> None:
    for owner, names in (
        (documents, ("Rule", "Stage", "InstrumentStatus", "Register", "OfferStatus")),
        (documents, ("ProposalStatus", "NodeRole", "Target", "RestrictionKind", "VersionStatus")),
        (rows, ("AccountType", "Role")),
        (agenda, ("What", "Progress")),
        (terms, ("Act",)),
        (signatures, ("KeyFault",)),
        (consensus_messages, ("VoteType",)),
    ):
        for name in names:
            members = getattr(owner, name)
            said = ", ".join(f"{int(member)} {member.name}" for member in members)
            assert f"| {name} | {said} |" in TEXT, f"{name} must be said as: {said}"
