"""How a node calls what blocks."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class RunSync(Protocol):
    """Runs a blocking call: in a worker thread in a node, inline under a test's clock."""

    def __call__(self, call: Callable[..., T], *args: Any) -> Awaitable[T]: ...
