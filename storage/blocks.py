"""The block log: each height's block, commit certificate, results and stream; an index of transaction ids.

A block and its certificate become durable together, before anything of the block is executed; so this log is
what recovery replays. Heights are stored without gaps. The stream of a height, its postings and its events
(`ledger.postings`), is stored with its results, in pieces; a height without any has none.
"""

from pathlib import Path

from ledger.events import EVENT_BYTES
from ledger.postings import AGENDA, POSTING_BYTES, StreamRows
from primitives.codec import CodecError, decode, encode
from storage.environment import MAP_BYTES, Environment, Faults, Reader, Table
from storage.errors import StorageCorrupt, StorageError
from storage.limits import PIECE_ROWS

ID_BYTES = 32


def _height_place(key: bytes) -> str:
    return f"height {int.from_bytes(key[:8], 'big')}"


def _transaction_place(key: bytes) -> str:
    return f"transaction {key.hex()}"


BLOCKS = Table("blocks", _height_place)
CERTIFICATES = Table("certificates", _height_place)
RESULTS = Table("results", _height_place)
TRANSACTIONS = Table("transactions", _transaction_place)
POSTINGS = Table("postings", _height_place)
EVENTS = Table("events", _height_place)
TIMES = Table("times", _height_place)
IDS = Table("ids", _height_place)
TABLES = (BLOCKS, CERTIFICATES, RESULTS, TRANSACTIONS, POSTINGS, EVENTS, TIMES, IDS)

_WIDTHS = {POSTINGS.name: POSTING_BYTES, EVENTS.name: EVENT_BYTES}


class BlockStore:
    """The blocks environment. Each method is one transaction and may be called from a worker thread."""

    def __init__(
        self, path: Path, readonly: bool = False, *, map_bytes: int = MAP_BYTES, faults: Faults | None = None
    ) -> None:
        self._environment = Environment(
            path, "blocks", TABLES, readonly=readonly, map_bytes=map_bytes, faults=faults
        )

    def append(self, height: int, block: bytes, certificate: bytes) -> None:
        """Make a decided block and its commit certificate durable.

        Raises StorageError unless `height` follows the last one (an empty log takes any height from 1).
        """
        with self._environment.write() as writer:
            last = _height_of(writer.last_key(BLOCKS))
            if height < 1 or (last and height != last + 1):
                raise StorageError(f"blocks: height {height} does not follow height {last}")
            writer.put(BLOCKS, _key(height), block)
            writer.put(CERTIFICATES, _key(height), certificate)

    def put_results(
        self,
        height: int,
        results: bytes,
        transaction_ids: list[bytes],
        *,
        time_ms: int = 0,
        postings: bytes = b"",
        events: bytes = b"",
    ) -> None:
        """Store what executing the block of `height` gave, its time, and where its transactions are found."""
        with self._environment.write() as writer:
            if writer.get(BLOCKS, _key(height)) is None:
                raise StorageError(f"blocks: results of height {height}, whose block is not stored")
            writer.put(RESULTS, _key(height), results)
            for position, transaction_id in enumerate(transaction_ids):
                writer.put(TRANSACTIONS, transaction_id, encode([height, position]))
            writer.put(TIMES, _key(height), _key(time_ms))
            for piece, at in enumerate(range(0, len(transaction_ids), PIECE_ROWS)):
                writer.put(IDS, _piece_key(height, piece), b"".join(transaction_ids[at : at + PIECE_ROWS]))
            for table, rows in ((POSTINGS, postings), (EVENTS, events)):
                size = PIECE_ROWS * _WIDTHS[table.name]
                for piece, at in enumerate(range(0, len(rows), size)):
                    writer.put(table, _piece_key(height, piece), rows[at : at + size])

    def block(self, height: int) -> bytes | None:
        return self._get(BLOCKS, _key(height))

    def certificate(self, height: int) -> bytes | None:
        return self._get(CERTIFICATES, _key(height))

    def results(self, height: int) -> bytes | None:
        return self._get(RESULTS, _key(height))

    def postings(self, height: int) -> bytes:
        """Every posting of a height."""
        return self._whole(POSTINGS, height)

    def events(self, height: int) -> bytes:
        """Every event of a height."""
        return self._whole(EVENTS, height)

    def postings_from(self, height: int, row: int, last: int, rows_max: int) -> list[StreamRows]:
        """Postings from `row` of `height` on, to the end of height `last`, at most `rows_max` of them."""
        return self._rows_from(POSTINGS, height, row, last, rows_max)

    def events_from(self, height: int, row: int, last: int, rows_max: int) -> list[StreamRows]:
        """Events from `row` of `height` on, to the end of height `last`, at most `rows_max` of them."""
        return self._rows_from(EVENTS, height, row, last, rows_max)

    def _rows_from(self, table: Table, height: int, row: int, last: int, rows_max: int) -> list[StreamRows]:
        width, found, missing = _WIDTHS[table.name], [], rows_max
        with self._environment.read() as reader:
            for key, rows in reader.items_from(table, _piece_key(height, row // PIECE_ROWS)):
                at, first = _height_of(key[:8]), int.from_bytes(key[8:], "big") * PIECE_ROWS
                if at > last or missing <= 0:
                    break
                skipped = max(row - first, 0) if at == height else 0
                taken = rows[skipped * width : (skipped + missing) * width]
                if taken:
                    found.append(StreamRows(at, first + skipped, taken))
                    missing -= len(taken) // width
        return found

    def first_posting_of(self, height: int, position: int) -> int:
        """The number of the first posting that the transaction at `position`, or one after it, caused."""
        table, width = POSTINGS, POSTING_BYTES
        with self._environment.read() as reader:
            last = reader.last_key(table, _key(height))
            low, high = 0, 0 if last is None else int.from_bytes(last[8:], "big")
            while low < high:  # the first piece that ends with a row of such a cause, or the last one
                middle = (low + high) // 2
                rows = reader.get(table, _piece_key(height, middle)) or b""
                if _order(rows[-width:]) < position:
                    low = middle + 1
                else:
                    high = middle
            rows = reader.get(table, _piece_key(height, low)) or b""
        low_row, high_row = 0, len(rows) // width
        while low_row < high_row:
            middle = (low_row + high_row) // 2
            if _order(rows[middle * width :][:4]) < position:
                low_row = middle + 1
            else:
                high_row = middle
        return low * PIECE_ROWS + low_row

    def height(self) -> int:
        """The last height stored, 0 when there is none."""
        with self._environment.read() as reader:
            return _height_of(reader.last_key(BLOCKS))

    def base(self) -> int:
        """The first height stored, 0 when there is none."""
        with self._environment.read() as reader:
            return _height_of(reader.first_key(BLOCKS))

    def find_transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """The height and position at which a transaction was included, or None."""
        with self._environment.read() as reader:
            return _find_transaction(reader, transaction_id)

    def transaction_id(self, height: int, position: int) -> bytes | None:
        """The id of the transaction at `position` of the block of `height`, or None."""
        piece, at = divmod(position, PIECE_ROWS)
        ids = self._get(IDS, _piece_key(height, piece)) or b""
        return ids[at * ID_BYTES : (at + 1) * ID_BYTES] or None

    def time_ms(self, height: int) -> int | None:
        """The time in the header of the block of `height`, or None."""
        stored = self._get(TIMES, _key(height))
        return None if stored is None else int.from_bytes(stored, "big")

    def close(self) -> None:
        self._environment.close()

    def _whole(self, table: Table, height: int) -> bytes:
        with self._environment.read() as reader:
            return b"".join(rows for _, rows in reader.items(table, _key(height)))

    def _get(self, table: Table, key: bytes) -> bytes | None:
        with self._environment.read() as reader:
            return reader.get(table, key)


def _find_transaction(reader: Reader, transaction_id: bytes) -> tuple[int, int] | None:
    stored = reader.get(TRANSACTIONS, transaction_id)
    if stored is None:
        return None
    try:
        height, position = decode(stored, 32)
    except (CodecError, ValueError, TypeError) as error:
        raise StorageCorrupt("blocks", _transaction_place(transaction_id), str(error)) from error
    return height, position


def _order(row: bytes) -> int:
    """Where a row's cause stands: what the block itself does comes before its transactions."""
    cause = int.from_bytes(row[:4], "little")
    return -1 if cause >= AGENDA else cause


def _piece_key(height: int, piece: int) -> bytes:
    return _key(height) + piece.to_bytes(4, "big")


def _key(height: int) -> bytes:
    return height.to_bytes(8, "big")


def _height_of(key: bytes | None) -> int:
    return 0 if key is None else int.from_bytes(key, "big")
