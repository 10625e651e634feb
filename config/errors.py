"""What is wrong with what an operator wrote: every problem at once, each with its file and key."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from config.limits import FILE_BYTES_MAX, VALUE_SHOWN_MAX

# pydantic's words, where ours say the rule better.
_RULES: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is required",
        "string_type": "must be text",
        "int_type": "must be an integer",
        "bool_type": "must be true or false",
        "list_type": "must be a list",
        "tuple_type": "must be a list",
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "path_type": "must be a path, as text",
    }
)


class ConfigError(Exception):
    """A file of an operator that cannot be used. `problems` names for each fault the file, key and rule."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError if it cannot be read, is too large, or is not TOML."""
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise ConfigError([f"{path}: is {size} bytes, the limit is {FILE_BYTES_MAX}"])
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"]) from error
    if text.startswith("\ufeff"):
        raise ConfigError([f"{path}: begins with a byte order mark: save it as plain UTF-8"])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from error


def describe(path: Path, model: type[BaseModel], error: ValidationError) -> tuple[str, ...]:
    """Each fault that pydantic found in `path`, as `file: key: value: rule`."""
    problems = []
    for fault in error.errors(include_url=False):
        location = fault["loc"]
        key = key_name(location)
        kind = fault["type"]
        if kind == "extra_forbidden":
            known = known_names(model, location[:-1])
            problems.append(f"{path}: {key}: unknown key{nearest(str(location[-1]), known)}")
        elif kind == "missing":
            problems.append(f"{path}: {key}: is required")
        else:
            problems.append(f"{path}: {key}: {shown(fault['input'])}: {rule_of(kind, fault['msg'])}")
    return tuple(problems)


def rule_of(kind: str, message: str) -> str:
    """The rule that a value broke, in our words where pydantic's are its own."""
    return _RULES.get(kind) or message.removeprefix("Value error, ")


def key_name(location: Iterable[str | int]) -> str:
    """Returns the name of a key: `("peers", 1, "address")` is `peers[1].address`; positions count from 0."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or "(file)"


def shown(value: object) -> str:
    """A wrong value as a message repeats it: shortened, on one line."""
    text = repr(value)
    return text if len(text) <= VALUE_SHOWN_MAX else f"{text[: VALUE_SHOWN_MAX - 3]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a hint, `; did you mean 'listen'?`, or the known names if none is near, or nothing without
    any."""
    names = sorted(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    return f"; known keys: {', '.join(names)}" if names else ""


def known_names(model: type[BaseModel], location: Iterable[str | int]) -> tuple[str, ...]:
    """The keys allowed in the table at `location` below `model`; none if any key is."""
    current: Any = model
    for part in location:
        if _is_model(current):
            fields = current.model_fields
            field = fields.get(part) or next((item for item in fields.values() if item.alias == part), None)
            current = field.annotation if field is not None else None
        else:  # the rows of a list, or the tables of a dict, are all of one kind
            current = next((item for item in reversed(get_args(current)) if item is not ...), None)
        if get_origin(current) in (Union, UnionType):
            current = next((argument for argument in get_args(current) if _is_model(argument)), None)
    if not _is_model(current):
        return ()
    return tuple(field.alias or name for name, field in current.model_fields.items())


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
