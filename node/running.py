"""How a node calls what blocks, or takes long."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import trio

T = TypeVar("T")

_readers = trio.CapacityLimiter(2)  # beside those who write for consensus, and never before them


async def reading(work: Callable[..., T], *args: Any) -> T:
    """What whole blocks take, milliseconds a megabyte, is kept off the event loop of consensus."""
    return await trio.to_thread.run_sync(work, *args, limiter=_readers)


class RunSync(Protocol):
    """Runs a blocking call: in a worker thread in a node, inline under a test's clock."""

    def __call__(self, call: Callable[..., T], *args: Any) -> Awaitable[T]: ...
