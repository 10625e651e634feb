"""Strict msgpack: exactly one encoding per value, bounded, without floats, maps or extension types.

Everything that is hashed, signed or sent passes through `encode` and `decode`. A value is None, bool, an
integer from -2**63 to 2**64-1, bytes, UTF-8 text, or a sequence of values. `decode` refuses whatever
`encode` would not have produced, so that equal values always have equal bytes (msgpack specification,
"Serialization: type to format conversion", made mandatory: the shortest format is the only one).
"""

from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgpack
import msgspec

from primitives.limits import CODEC_DEPTH_MAX

T = TypeVar("T")


class CodecError(ValueError):
    """Bytes or a value that the strict encoding does not allow. The text names the place and the rule."""


def encode(value: Any) -> bytes:
    """The one encoding of `value`. Raises CodecError for types that have none (floats, maps, big ints)."""
    _check(value, 0)
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True, strict_types=False)
    except (OverflowError, ValueError, TypeError, UnicodeEncodeError) as error:
        raise CodecError(f"value has no encoding: {error}") from error
    return packed


def decode(data: bytes, size_max: int) -> Any:
    """The value whose encoding is exactly `data`; sequences come back as tuples.

    Raises CodecError when `data` is longer than `size_max` bytes, is truncated, has trailing bytes, nests
    deeper than CODEC_DEPTH_MAX, holds a float, map or extension, or is not the one encoding of its value.
    """
    if len(data) > size_max:
        raise CodecError(f"encoding is {len(data)} bytes, the limit is {size_max}")
    try:
        value = msgpack.unpackb(
            data, raw=False, use_list=False, strict_map_key=True, ext_hook=_refuse_extension
        )
        _check(value, 0)
        again: bytes = msgpack.packb(value, use_bin_type=True)
    except CodecError:
        raise
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(f"not an encoding: {type(error).__name__}: {error}") from error
    if again != data:
        raise CodecError("not the canonical encoding of its value")
    return value


def first_length(data: bytes) -> int:
    """How many bytes of `data` its first value takes; what it is, `decode` says. Raises CodecError if `data`
    does not hold all of it."""
    reader = msgpack.Unpacker()
    reader.feed(data)
    try:
        reader.skip()
    except (ValueError, msgpack.OutOfData, RecursionError) as error:
        raise CodecError(f"no value within {len(data)} bytes: {type(error).__name__}") from error
    return int(reader.tell())


def convert(value: Any, schema: type[T]) -> T:
    """Returns `value`, which came from `decode`, checked against `schema` and turned into it (a
    msgspec.Struct declared with array_like=True, or any type msgspec knows). Raises CodecError that names the
    field and the rule."""
    try:
        # Without builtin_types, text where bytes belong would be taken as base64: a second encoding.
        return msgspec.convert(value, schema, strict=True, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise CodecError(_name_fields(str(error), schema)) from error


def builtins(value: Any) -> Any:
    """The plain value (tuples, integers, bytes, text) of a Struct, for `encode`."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))


def pack(record: msgspec.Struct) -> bytes:
    """The encoding of a Struct declared with array_like=True."""
    return encode(builtins(record))


def unpack(data: bytes, schema: type[T], size_max: int) -> T:
    """Returns the Struct that `data` encodes: `decode` and `convert` in one."""
    return convert(decode(data, size_max), schema)


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is int or kind is bytes or kind is str or kind is bool or value is None:
        return
    if kind is tuple or kind is list:
        if depth >= CODEC_DEPTH_MAX:
            raise CodecError(f"nested deeper than {CODEC_DEPTH_MAX}")
        for item in value:
            _check(item, depth + 1)
        return
    raise CodecError(f"type {kind.__name__} has no encoding")


def _refuse_extension(code: int, data: bytes) -> Any:
    raise CodecError(f"extension type {code} has no encoding")


def _name_fields(message: str, schema: Any) -> str:
    """Returns a fault with fields by name: msgspec says `$[2][0]`; say the fields' names instead, where the
    schema has them."""
    text, marker, path = message.partition(" - at `$")
    if not marker:
        return message
    path = path.rstrip("`")
    names: list[str] = []
    current = schema
    while path.startswith("["):
        index, _, path = path[1:].partition("]")
        current = _plain_type(current)
        fields = getattr(current, "__struct_fields__", None)
        if fields is not None and _is_number(index) and int(index) < len(fields):
            names.append(fields[int(index)])
            current = get_type_hints(current, include_extras=True)[fields[int(index)]]
        else:
            names.append(index)
            current = _item_type(current, index)
    return f"{'.'.join(names)}: {text}" if names else message


def _is_number(text: str) -> bool:
    return text != "" and set(text) <= set("0123456789")


def _plain_type(declared: Any) -> Any:
    """The type `declared`, without the constraints of Annotated."""
    while get_origin(declared) is Annotated:
        declared = get_args(declared)[0]
    return declared


def _item_type(declared: Any, index: str) -> Any:
    """The declared type of one item of a tuple or list type, or None where it is not known."""
    items = get_args(declared)
    if get_origin(declared) not in (tuple, list) or not items:
        return None
    if len(items) == 1 or items[1] is Ellipsis:
        return items[0]
    return items[int(index)] if _is_number(index) and int(index) < len(items) else None
