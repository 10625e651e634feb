"""The log of what the engine heard in the height under way, durable when it must be and not before.

Inputs wait in memory until something that is to leave the node rests on them: then they, and every block of
the height that is not logged yet, are one durable write.
"""

from collections.abc import Iterable

from consensus.encoding import decode_input, encode_input
from consensus.errors import VerificationError
from consensus.events import Input
from node.running import RunSync
from node.sealed import SealedBlock, open_block
from primitives.codec import CodecError
from storage.errors import StorageCorrupt
from storage.wal import WriteAheadLog

FORGET_EVERY = 16  # heights between two cuts of the write-ahead log


class InputLog:
    """The write-ahead log as the driver sees it."""

    def __init__(self, wal: WriteAheadLog, run_sync: RunSync) -> None:
        self._wal = wal
        self._run_sync = run_sync
        self._unlogged: list[bytes] = []
        self._logged: set[bytes] = set()  # values of this height whose blocks are in the log

    def note(self, said: Input) -> None:
        """Remember an input that the engine is about to hear, and that changes what it knows."""
        self._unlogged.append(encode_input(said))

    async def persist(self, height: int, blocks: Iterable[SealedBlock]) -> None:
        """Make the inputs so far, and every one of `blocks`, durable in one write."""
        fresh = [block for block in blocks if block.value not in self._logged]
        if not self._unlogged and not fresh:
            return
        entries, self._unlogged = self._unlogged, []
        await self._run_sync(self._wal.append, height, entries, {block.value: block.raw for block in fresh})
        self._logged.update(block.value for block in fresh)

    async def inputs(self, height: int) -> list[Input]:
        """What the engine heard at `height` before we stopped. Raises StorageCorrupt."""
        entries = await self._run_sync(self._wal.read, height)
        try:
            return [decode_input(entry) for entry in entries]
        except CodecError as error:
            raise StorageCorrupt("wal", f"height {height}", str(error)) from error

    async def blocks(self, height: int, wanted: frozenset[bytes]) -> list[SealedBlock]:
        """The blocks logged at `height` whose values are wanted. Raises StorageCorrupt."""
        found = []
        for value, raw in (await self._run_sync(self._wal.blocks, height)).items():
            if value not in wanted:
                continue
            try:
                found.append(open_block(raw))
            except (CodecError, VerificationError) as error:
                raise StorageCorrupt("wal", f"height {height} value {value.hex()}", str(error)) from error
            self._logged.add(value)
        return found

    async def advance(self, height: int) -> None:
        """Go on to the next height: the block of `height` is executed, and its log no longer needed."""
        self._unlogged.clear()
        self._logged.clear()
        if height % FORGET_EVERY == 0:
            await self._run_sync(self._wal.forget_below, height + 1)
