"""An example of whatever is asked or told, made from its declared type: valid, the same every time."""

from enum import IntEnum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from api.objects import hints, is_union, unwrapped


def example(kind: Any) -> Any:
    """A value of that type: the least that its bounds allow, one item in a list, one of several variants."""
    kind, metas = unwrapped(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: example(hint) for name, hint in hints(kind).items()})
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return next(iter(kind))
    if is_union(kind):
        return example(next(each for each in get_args(kind) if each is not NoneType))
    if get_origin(kind) is tuple:
        return (example(get_args(kind)[0]),)
    return _plain(kind, metas)


def _plain(kind: Any, metas: tuple[Meta, ...]) -> Any:
    least = max([int(meta.ge) for meta in metas if meta.ge is not None], default=0)
    shortest = max([meta.min_length for meta in metas if meta.min_length is not None], default=1)
    if kind is bytes:
        return bytes(shortest)
    if kind is str:
        return "a" * max(1, shortest)
    if kind is bool:
        return True
    if kind is int:
        return least
    raise TypeError(f"no example of {Annotated[kind, metas]}")
