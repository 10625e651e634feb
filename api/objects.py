"""JSON objects from the Structs of api.reads and back, by the types that their fields declare.

Bytes are lower-case hex, except where the field says base64; amounts and other u64 values are decimal
strings; enumerations are their members' names in lower case; absent values are null. In parameters
enumerations may be numbers, and base64 fields may be hex: text of lower-case hex digits alone is hex. One of
several variants of a thing is an object that says which in its member `variant`, by name in lower case.
`schema` describes the same in JSON Schema.
"""

import base64
import binascii
import re
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from api.limits import QUOTED_CHARACTERS_MAX

M = TypeVar("M", bound=msgspec.Struct)
ObjectWriter = Callable[[Any], Any]
ObjectReader = Callable[[Any, str], Any]

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,19})", re.ASCII)
VARIANT = "variant"
_HEX = re.compile(r"[0-9a-f]*", re.ASCII)


class FieldFault(ValueError):
    """A value that its field does not allow: `field` is its path, `value` what was found."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        self.field = _short(field)  # which may be the name of an unknown member
        self.value = _short(value if isinstance(value, str) else _shown(value))
        self.rule = rule
        super().__init__(f"{self.field}: {self.value}: {rule}")


def _short(text: str) -> str:
    return text if len(text) <= QUOTED_CHARACTERS_MAX else text[: QUOTED_CHARACTERS_MAX - 3] + "..."


def _shown(value: object) -> str:
    """What is quoted of a value that is not text; an array or object is not walked, it may be deep."""
    return f"{len(value)} items" if isinstance(value, list | dict) else repr(value)


def to_object(message: msgspec.Struct) -> dict[str, Any]:
    """The JSON object of a query or a reply."""
    written: dict[str, Any] = _writer(type(message))(message)
    return written


def from_params(value: object, kind: type[M]) -> M:
    """The query in a JSON object of parameters. Raises FieldFault; an unknown field is one."""
    query: M = _reader(kind, True)(value, "")
    return query


def from_object(value: object, kind: type[M]) -> M:
    """The reply in a JSON object. Raises FieldFault; fields that a newer server added are left out."""
    reply: M = _reader(kind, False)(value, "")
    return reply


# --- writing --------------------------------------------------------------------------------------------


@cache
def _writer(kind: Any) -> ObjectWriter:
    kind, metas = unwrapped(kind)
    form = _form(metas)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = [(name, _writer(hint)) for name, hint in hints(kind).items()]
        said = {VARIANT: kind.__name__.lower()} if _is_variant(kind) else {}
        return lambda value: said | {name: write(getattr(value, name)) for name, write in fields}
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return lambda value: value.name.lower()
    if is_union(kind):
        return _union_writer(kind)
    if get_origin(kind) is tuple:
        item = _writer(get_args(kind)[0])
        return lambda value: [item(each) for each in value]
    if kind is bytes:
        if form == "base64":
            return lambda value: base64.b64encode(value).decode()
        return lambda value: value.hex()
    if kind is int and form == "decimal":
        return str
    return lambda value: value


def _union_writer(kind: Any) -> ObjectWriter:
    members = [member for member in get_args(kind) if member is not NoneType]
    if len(members) == 1:
        only = _writer(members[0])
        return lambda value: None if value is None else only(value)
    writers = {_python_type(member): _writer(member) for member in members}

    def write(value: Any) -> Any:
        return None if value is None else writers[type(value)](value)

    return write


# --- reading --------------------------------------------------------------------------------------------


@cache
def _reader(kind: Any, surplus_refused: bool) -> ObjectReader:
    kind, metas = unwrapped(kind)
    form = _form(metas)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_reader(kind, surplus_refused)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return _enum_reader(kind)
    if is_union(kind):
        return _union_reader(kind, surplus_refused)
    if get_origin(kind) is tuple:
        return _tuple_reader(_reader(get_args(kind)[0], surplus_refused), metas)
    if kind is bytes:
        return _bytes_reader(form, metas, surplus_refused)
    if kind is int and form == "decimal":
        return _decimal_reader(metas)
    if kind is int:
        return _integer_reader(metas)
    if kind is str:
        return _text_reader(metas)
    if kind is bool:
        return _read_bool
    raise TypeError(f"no JSON form for {kind}")


def _struct_reader(kind: type[msgspec.Struct], surplus_refused: bool) -> ObjectReader:
    fields = {name: _reader(hint, surplus_refused) for name, hint in hints(kind).items()}
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}

    def read(value: Any, path: str) -> msgspec.Struct:
        if not isinstance(value, dict):
            raise FieldFault(path or "params", value, "must be an object")
        if _is_variant(kind):
            value = _without_variant(value, path, kind)
        dot = f"{path}." if path else ""
        if surplus_refused:
            for name in value:
                if name not in fields:
                    raise FieldFault(
                        f"{dot}{name}", value[name], f"unknown field; known: {', '.join(fields) or 'none'}"
                    )
        found = {name: reader(value[name], dot + name) for name, reader in fields.items() if name in value}
        for name in fields:
            if name in required and name not in found:
                raise FieldFault(dot + name, "", "is required")
        return kind(**found)

    return read


def _without_variant(value: dict[str, Any], path: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    if value.get(VARIANT) != kind.__name__.lower():
        raise FieldFault(f"{path}.{VARIANT}", value.get(VARIANT, ""), f"must be {kind.__name__.lower()}")
    return {name: item for name, item in value.items() if name != VARIANT}


def _variants_reader(kinds: list[type[msgspec.Struct]], surplus_refused: bool) -> ObjectReader:
    readers = {kind.__name__.lower(): _reader(kind, surplus_refused) for kind in kinds}

    def read(value: Any, path: str) -> Any:
        said = value.get(VARIANT, "")
        reader = readers.get(said) if isinstance(said, str) else None
        if reader is None:
            raise FieldFault(f"{path}.{VARIANT}", said, f"must be one of {', '.join(readers)}")
        return reader(value, path)

    return read


def _enum_reader(kind: type[IntEnum]) -> ObjectReader:
    members = {member.name.lower(): member for member in kind}
    numbers = {member.value: member for member in kind}

    def read(value: Any, path: str) -> IntEnum:
        member = None
        if isinstance(value, str):
            member = members.get(value)
        elif type(value) is int:
            member = numbers.get(value)
        if member is None:
            raise FieldFault(path, value, f"must be one of {', '.join(members)}")
        return member

    return read


def _union_reader(kind: Any, surplus_refused: bool) -> ObjectReader:
    """A value is read by the first member whose JSON type it has: null, number, text, array or object; an
    object that is a variant by the member it names."""
    readers: dict[type, ObjectReader] = {}
    variants = [member for member in get_args(kind) if isinstance(member, type) and _is_variant(member)]
    if variants:
        readers[dict] = _variants_reader(variants, surplus_refused)
    for member in get_args(kind):
        if member is not NoneType:
            readers.setdefault(_json_type(member), _reader(member, surplus_refused))
    optional = NoneType in get_args(kind)
    names = " or ".join(_JSON_NAMES[json_type] for json_type in readers)

    def read(value: Any, path: str) -> Any:
        if value is None and optional:
            return None
        reader = readers.get(type(value))
        if reader is None:
            raise FieldFault(path, value, f"must be {names}")
        return reader(value, path)

    return read


def _tuple_reader(item: ObjectReader, metas: tuple[Meta, ...]) -> ObjectReader:
    shortest, longest = _length_bounds(metas)

    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise FieldFault(path, value, "must be an array")
        if not shortest <= len(value) <= longest:
            raise FieldFault(path, f"{len(value)} items", f"must have {shortest} to {longest} items")
        return tuple(item(each, f"{path}.{number}") for number, each in enumerate(value))

    return read


def _bytes_reader(form: str, metas: tuple[Meta, ...], from_people: bool) -> ObjectReader:
    """A reply's base64 is base64; of parameters, which people type, text of hex digits alone is hex."""
    shortest, longest = _length_bounds(metas)
    may_be_hex = from_people or form != "base64"

    def read(value: Any, path: str) -> bytes:
        if not isinstance(value, str):
            raise FieldFault(path, value, "must be text")
        if len(value) > 2 * longest:
            raise FieldFault(path, f"{len(value)} characters", f"must hold at most {longest} bytes")
        if may_be_hex and len(value) % 2 == 0 and _HEX.fullmatch(value):
            data = bytes.fromhex(value)
        elif form == "base64":
            try:
                data = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raise FieldFault(path, value, "must be base64 or lower-case hex") from None
        else:
            raise FieldFault(path, value, "must be lower-case hex")
        if not shortest <= len(data) <= longest:
            rule = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
            raise FieldFault(path, f"{len(data)} bytes", f"must be {rule} bytes")
        return data

    return read


def _decimal_reader(metas: tuple[Meta, ...]) -> ObjectReader:
    least, most = _value_bounds(metas)

    def read(value: Any, path: str) -> int:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or value == "-0":
            raise FieldFault(path, value, 'must be a decimal string, such as "1500"')
        return _within(int(value), path, least, most)

    return read


def _integer_reader(metas: tuple[Meta, ...]) -> ObjectReader:
    least, most = _value_bounds(metas)

    def read(value: Any, path: str) -> int:
        if type(value) is not int:
            raise FieldFault(path, value, "must be an integer")
        return _within(value, path, least, most)

    return read


def _text_reader(metas: tuple[Meta, ...]) -> ObjectReader:
    shortest, longest = _length_bounds(metas)

    def read(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise FieldFault(path, value, "must be text")
        if not shortest <= len(value) <= longest:
            raise FieldFault(path, value, f"must have {shortest} to {longest} characters")
        return value

    return read


def _read_bool(value: Any, path: str) -> bool:
    if type(value) is not bool:
        raise FieldFault(path, value, "must be true or false")
    return value


def _within(number: int, path: str, least: int, most: int) -> int:
    if not least <= number <= most:
        raise FieldFault(path, number, f"must be {least} to {most}")
    return number


# --- describing -----------------------------------------------------------------------------------------


Named = dict[str, tuple[type[msgspec.Struct], dict[str, Any]]]  # schemas of Structs that others refer to


def schema(kind: Any, named: Named | None = None) -> dict[str, Any]:
    """The JSON Schema of the JSON form of `kind`, a Struct or the type of one of its fields; Structs are put
    into `named`, if it is given, and referred to."""
    kind, metas = unwrapped(kind)
    form = _form(metas)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _object_schema(kind, None) if named is None else _reference(kind, named)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return {"type": "string", "enum": [member.name.lower() for member in kind]}
    if is_union(kind):
        members = get_args(kind)
        return {"anyOf": [{"type": "null"} if each is NoneType else schema(each, named) for each in members]}
    if get_origin(kind) is tuple:
        items = schema(get_args(kind)[0], named)
        return {"type": "array", "items": items, **_bounds(metas, "minItems", "maxItems")}
    if kind is bytes:
        shortest, longest = _length_bounds(metas)
        if form == "base64":
            return {"type": "string", "description": "base64; lower-case hex is read too"}
        length = f"{{{2 * shortest}}}" if shortest == longest else "*"
        return {"type": "string", "pattern": f"^[0-9a-f]{length}$"}
    if kind is int and form == "decimal":
        return {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)$"}
    if kind is int:
        return {"type": "integer", **_bounds(metas, "minimum", "maximum")}
    if kind is str:
        return {"type": "string", **_bounds(metas, "minLength", "maxLength")}
    return {"type": "boolean"}


def _object_schema(kind: type[msgspec.Struct], named: Named | None) -> dict[str, Any]:
    said = {VARIANT: {"const": kind.__name__.lower()}} if _is_variant(kind) else {}
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "properties": said | {name: schema(hint, named) for name, hint in hints(kind).items()},
        "required": [*said, *(field.name for field in msgspec.structs.fields(kind) if field.required)],
    }


def _reference(kind: type[msgspec.Struct], named: Named) -> dict[str, Any]:
    known = named.get(kind.__name__)
    if known is None:
        described: dict[str, Any] = {}
        named[kind.__name__] = (kind, described)  # first, since it may refer to itself
        described.update(_object_schema(kind, named))
    elif known[0] is not kind:
        raise TypeError(f"two records are called {kind.__name__}")
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def fields(kind: type[msgspec.Struct], named: Named | None = None) -> list[tuple[str, dict[str, Any], bool]]:
    """The fields of a Struct in order: name, JSON Schema with its default, whether it is required."""
    found = []
    for field, (name, hint) in zip(msgspec.structs.fields(kind), hints(kind).items(), strict=True):
        described = schema(hint, named)
        if not field.required:
            described = described | {"default": _writer(hint)(field.default)}
        found.append((name, described, field.required))
    return found


# --- types ----------------------------------------------------------------------------------------------

_JSON_NAMES = {int: "a number", str: "text", bool: "true or false", list: "an array", dict: "an object"}


def _is_variant(kind: type[Any]) -> bool:
    """Whether `kind` is one variant of several: a Struct with a number as its tag."""
    return issubclass(kind, msgspec.Struct) and kind.__struct_config__.tag is not None


def hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of a Struct with their types as declared."""
    found = get_type_hints(kind, include_extras=True)
    return {name: found[name] for name in kind.__struct_fields__}


def unwrapped(kind: Any) -> tuple[Any, tuple[Meta, ...]]:
    """A type without its bounds, and the bounds."""
    if get_origin(kind) is Annotated:
        inner, *metas = get_args(kind)
        return inner, tuple(meta for meta in metas if isinstance(meta, Meta))
    return kind, ()


def is_union(kind: Any) -> bool:
    """Whether a type is one of several."""
    return get_origin(kind) in (Union, UnionType)


def _python_type(kind: Any) -> type:
    inner, _ = unwrapped(kind)
    origin = get_origin(inner)
    found: type = origin if isinstance(origin, type) else inner
    return found


def _json_type(kind: Any) -> type:
    inner, metas = unwrapped(kind)
    python = _python_type(inner)
    if python is tuple:
        return list
    if issubclass(python, msgspec.Struct):
        return dict
    if python is bytes or issubclass(python, IntEnum) or (python is int and _form(metas) == "decimal"):
        return str
    return python


def _form(metas: tuple[Meta, ...]) -> str:
    for meta in metas:
        if meta.extra and "json" in meta.extra:
            return str(meta.extra["json"])
    return ""


def _length_bounds(metas: tuple[Meta, ...]) -> tuple[int, int]:
    shortest, longest = 0, 2**31
    for meta in metas:
        shortest = shortest if meta.min_length is None else meta.min_length
        longest = longest if meta.max_length is None else meta.max_length
    return shortest, longest


def _value_bounds(metas: tuple[Meta, ...]) -> tuple[int, int]:
    least, most = -(2**63), 2**64 - 1
    for meta in metas:
        least = least if meta.ge is None else int(meta.ge)
        most = most if meta.le is None else int(meta.le)
    return least, most


def _bounds(metas: tuple[Meta, ...], low: str, high: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for meta in metas:
        for name, bound in ((low, meta.ge), (low, meta.min_length), (high, meta.le), (high, meta.max_length)):
            if bound is not None:
                found[name] = int(bound)
    return found
