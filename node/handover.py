"""Work on the live chain, done by the driver itself between two blocks.

The chain moves under the driver's hands alone. Who needs what no published view has, the Merkle trees or what
a checkpoint stores, hands over a job and waits; the driver does it when no block is being executed.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import trio

from node.chain import Chain

T = TypeVar("T")


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Chain], T]) -> None:
        self._work = work
        self._done = trio.Event()
        self._result: T
        self._error: Exception | None = None

    def do(self, chain: Chain) -> None:
        try:
            self._result = self._work(chain)
        except Exception as error:  # it is the asker's
            self._error = error
        self._done.set()

    async def result(self) -> T:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


class HandOver:
    """The jobs that wait for the driver."""

    def __init__(self, chain: Chain, wake: Callable[[], None]) -> None:
        """`wake` lets the driver look at its jobs."""
        self._chain = chain
        self._wake = wake
        self._jobs: deque[_Job[Any]] = deque()

    async def do(self, work: Callable[[Chain], T]) -> T:
        """What `work` makes of the chain between two blocks; it must be short. Raises what it raises."""
        job = _Job(work)
        self._jobs.append(job)
        self._wake()
        return await job.result()

    def run(self) -> None:
        """Do every job that waits; for the driver alone."""
        while self._jobs:
            self._jobs.popleft().do(self._chain)
