"""The four stores: what they keep, what they refuse, and how they name what is wrong with a disk."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest

from ledger.events import EVENT_BYTES
from ledger.postings import AGENDA, BLOCK, POSTING_BYTES
from storage.blocks import BlockStore
from storage.errors import (
    DoubleSignRefused,
    SignerUninitialised,
    StorageCorrupt,
    StorageError,
    StorageFull,
)
from storage.limits import PIECE_ROWS, ROOM_BYTES_MIN
from storage.signer import SignedState, SignerStore
from storage.state import StateStore
from storage.wal import WriteAheadLog


@dataclass
class Change:
    """What a ledger state hands over at a checkpoint."""

    documents: list[tuple[int, int, bytes]] = field(default_factory=list)
    pages: list[tuple[int, int, bytes]] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)


def flip(path: Path, needle: bytes, offset: int = 0) -> None:
    """Flip one bit of every copy of `needle` in an environment's file, at `offset` into it."""
    file = path / "data.mdb"
    data = bytearray(file.read_bytes())
    start = data.find(needle)
    assert start >= 0
    while start >= 0:
        data[start + offset] ^= 1
        start = data.find(needle, start + 1)
    file.write_bytes(data)


# --- files ---


READ_TO_THE_END = """
import sys
from contextlib import closing
from pathlib import Path
from storage.blocks import BlockStore
from storage.errors import StorageCorrupt
folder, readonly = Path(sys.argv[1]), sys.argv[2] == "readonly"
file = folder / "data.mdb"
whole = file.read_bytes()
found = 0
for size in range(8192, len(whole), 4096):
    file.write_bytes(whole[:size])
    try:
        with closing(BlockStore(folder, readonly=readonly)) as store:
            for height in range(1, store.height() + 1):
                store.block(height), store.certificate(height), store.results(height)
    except StorageCorrupt:
        found += 1
print(found, len(range(8192, len(whole), 4096)))
"""


@pytest.mark.parametrize("mode", ["readonly", "writable"])
def test_a_file_that_was_cut_off_anywhere_is_named_and_kills_nobody(tmp_path: Path, mode: str) -> None:
    store = BlockStore(tmp_path)
    for height in range(1, 9):
        store.append(height, b"block" * 2000, b"certificate")
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", READ_TO_THE_END, str(tmp_path), mode],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, cuts = map(int, done.stdout.split())
    assert cuts > 20
    assert found >= cuts - 8  # the last pages may be free ones


@pytest.mark.parametrize(("free", "error"), [(0, StorageFull), (ROOM_BYTES_MIN, StorageError)])
def test_a_write_of_which_half_found_room_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, error: type[StorageError]
) -> None:
    class HalfWritten:
        def reached(self, point: str) -> None:
            if point == "blocks: commit":
                raise lmdb.Error(f"mdb_txn_commit: {os.strerror(errno.EIO)}")

    disk = SimpleNamespace(f_bavail=free, f_frsize=1)
    store = BlockStore(tmp_path, faults=HalfWritten())
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    with pytest.raises(StorageError) as raised:
        store.append(1, b"block", b"certificate")
    assert type(raised.value) is error
    store.close()


# --- blocks -----------------------------------------------------------------------------------------------


def test_a_block_its_certificate_and_its_results_are_read_back_after_reopening(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.append(1, b"block 1" * 2000, b"certificate 1")
    store.append(2, b"block 2", b"certificate 2")
    store.put_results(1, b"results 1", [b"a" * 32, b"b" * 32])
    store.close()
    store = BlockStore(tmp_path)
    assert (store.base(), store.height()) == (1, 2)
    assert (store.block(1), store.certificate(1)) == (b"block 1" * 2000, b"certificate 1")
    assert (store.results(1), store.results(2)) == (b"results 1", None)
    assert store.find_transaction(b"b" * 32) == (1, 1)
    assert store.find_transaction(b"c" * 32) is None
    store.close()


@pytest.mark.parametrize("height", [0, 1, 2, 4])
def test_heights_have_no_gaps_and_are_written_once(tmp_path: Path, height: int) -> None:
    store = BlockStore(tmp_path)
    store.append(1, b"block 1", b"certificate 1")
    store.append(2, b"block 2", b"certificate 2")
    with pytest.raises(StorageError, match=f"height {height} does not follow height 2"):
        store.append(height, b"other", b"other")
    assert store.block(2) == b"block 2"
    store.close()


def test_results_need_their_block(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    with pytest.raises(StorageError, match="results of height 1"):
        store.put_results(1, b"results", [])
    store.close()


def rows_caused_by(causes: list[int], width: int) -> bytes:
    return b"".join(
        cause.to_bytes(4, "little") + number.to_bytes(width - 4, "little")
        for number, cause in enumerate(causes)
    )


def test_the_stream_of_a_height_is_read_back_whole_and_from_any_row_on(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    kept: dict[int, bytes] = {}
    for height, count in ((1, 2 * PIECE_ROWS), (2, 0), (3, PIECE_ROWS + 1), (4, 3)):
        store.append(height, b"block", b"certificate")
        kept[height] = rows_caused_by([0] * count, POSTING_BYTES)
        store.put_results(height, b"results", [], postings=kept[height], events=b"e" * EVENT_BYTES)
    store.close()
    store = BlockStore(tmp_path)
    assert [store.postings(height) for height in kept] == list(kept.values())
    assert [store.events(height) for height in kept] == [b"e" * EVENT_BYTES] * 4
    for height, row in ((1, 0), (1, PIECE_ROWS), (1, 2 * PIECE_ROWS), (1, 5000), (2, 0), (3, 7), (4, 3)):
        for last in (1, 3, 4):
            for rows_max in (1, PIECE_ROWS, 10_000):
                found = store.postings_from(height, row, last, rows_max)
                wanted = [
                    (each, number)
                    for each, rows in kept.items()
                    if height <= each <= last
                    for number in range(row if each == height else 0, len(rows) // POSTING_BYTES)
                ][:rows_max]
                assert [
                    (part.height, part.first + number)
                    for part in found
                    for number in range(len(part.rows) // POSTING_BYTES)
                ] == wanted
                for part in found:
                    assert part.rows in kept[part.height]
    store.close()


def test_the_time_of_a_height_and_the_id_at_a_position_are_found_without_the_block(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    ids = [number.to_bytes(32, "big") for number in range(2 * PIECE_ROWS + 1)]
    store.append(1, b"block", b"certificate")
    store.put_results(1, b"results", ids, time_ms=1_700_000_000_123)
    for position in (0, PIECE_ROWS - 1, PIECE_ROWS, 2 * PIECE_ROWS):
        assert store.transaction_id(1, position) == ids[position]
    assert store.transaction_id(1, len(ids)) is None
    assert (store.time_ms(1), store.time_ms(2)) == (1_700_000_000_123, None)
    store.close()


def test_the_rows_of_a_transaction_are_found_without_an_index(tmp_path: Path) -> None:
    causes = [BLOCK] * 3 + [AGENDA + 7] * PIECE_ROWS + [2] * PIECE_ROWS + [3] * 2 + [9] * (3 * PIECE_ROWS)
    store = BlockStore(tmp_path)
    store.append(1, b"block", b"certificate")
    store.put_results(1, b"results", [], postings=rows_caused_by(causes, POSTING_BYTES))
    for position in range(12):
        first = next((row for row, cause in enumerate(causes) if position <= cause < AGENDA), len(causes))
        assert store.first_posting_of(1, position) == first
    assert store.first_posting_of(2, 0) == 0
    store.close()


@pytest.mark.parametrize(
    ("needle", "place", "read"),
    [
        (b"block of height two", "blocks of height 2", lambda store: store.block(2)),
        (b"certificate of two", "certificates of height 2", lambda store: store.certificate(2)),
        (b"results of two", "results of height 2", lambda store: store.results(2)),
        (b"postings of height two!!", "postings of height 2", lambda store: store.postings(2)),
        (b"the events of height two", "events of height 2", lambda store: store.events(2)),
    ],
)
def test_a_flipped_bit_is_noticed_and_its_height_named(
    tmp_path: Path, needle: bytes, place: str, read: Callable[[BlockStore], bytes | None]
) -> None:
    store = BlockStore(tmp_path)
    store.append(1, b"block of height one", b"certificate of one")
    store.append(2, b"block of height two", b"certificate of two")
    store.put_results(
        2,
        b"results of two",
        [b"t" * 32],
        postings=b"postings of height two!!",
        events=b"the events of height two",
    )
    store.close()
    flip(tmp_path, needle, 3)
    store = BlockStore(tmp_path)
    with pytest.raises(StorageCorrupt, match=place):
        read(store)
    assert store.block(1) == b"block of height one"
    store.close()


def test_a_flipped_bit_in_the_index_is_noticed(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.append(1, b"block", b"certificate")
    store.put_results(1, b"results", [b"t" * 32])
    store.close()
    flip(tmp_path, b"t" * 32, 32)  # the first byte of the checksum behind the key
    store = BlockStore(tmp_path)
    with pytest.raises(StorageCorrupt, match=f"transaction {(b't' * 32).hex()}"):
        store.find_transaction(b"t" * 32)
    store.close()


def test_a_value_under_another_key_is_noticed(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.append(1, b"same size: one", b"c")
    store.append(2, b"same size: two", b"c")
    store.close()
    file = tmp_path / "data.mdb"
    data = file.read_bytes()
    start_one, start_two = data.rfind(b"same size: one") - 32, data.rfind(b"same size: two") - 32
    one, two = data[start_one : start_one + 46], data[start_two : start_two + 46]
    swapped = data.replace(one, b"?" * 46).replace(two, one).replace(b"?" * 46, two)
    file.write_bytes(swapped)
    store = BlockStore(tmp_path)
    with pytest.raises(StorageCorrupt, match="blocks of height 1"):
        store.block(1)
    store.close()


def test_a_reader_elsewhere_needs_a_store_that_exists(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing is stored"):
        BlockStore(tmp_path / "none", readonly=True)
    assert not (tmp_path / "none").exists()


def test_a_readonly_store_reads_and_never_writes(tmp_path: Path) -> None:
    store = BlockStore(tmp_path)
    store.append(1, b"block", b"certificate")
    store.close()
    store = BlockStore(tmp_path, readonly=True)
    assert store.block(1) == b"block"
    with pytest.raises(StorageError):
        store.append(2, b"block", b"certificate")
    store.close()


def test_a_file_that_is_no_environment_is_called_corrupt(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not LMDB" * 4096)
    with pytest.raises(StorageCorrupt, match="structure of its file"):
        BlockStore(tmp_path)


def test_a_full_disk_keeps_nothing_of_the_write_and_the_store_goes_on_with_less(tmp_path: Path) -> None:
    store = BlockStore(tmp_path, map_bytes=256 * 1024)
    store.append(1, b"small", b"certificate")
    with pytest.raises(StorageFull, match="no room in the blocks environment"):
        store.append(2, b"large" * 200_000, b"certificate")
    assert (store.height(), store.block(2), store.certificate(2)) == (1, None, None)
    store.append(2, b"small", b"certificate")
    store.close()


# --- state ------------------------------------------------------------------------------------------------


def test_a_checkpoint_replaces_changed_pages_and_keeps_the_others(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    assert store.load() is None
    documents = [(3, 1, b"doc 1"), (3, 0, b"doc 0")]
    store.save(5, Change(documents, [(9, 0, b"A" * 8192), (9, 1, b"B" * 32)], {3: 2, 9: 257}), b"meta 5")
    store.save(7, Change([(3, 1, b"doc 1 new")], [(9, 1, b"C" * 64)], {3: 2, 9: 258}), b"meta 7")
    store.close()
    store = StateStore(tmp_path)
    loaded = store.load()
    assert loaded is not None
    height, meta, source = loaded
    assert (height, meta, store.height()) == (7, b"meta 7", 7)
    assert list(source.documents(3)) == [b"doc 0", b"doc 1 new"]
    assert list(source.rows(9)) == [b"A" * 8192, b"C" * 64]
    assert (source.count(9), source.count(3), source.count(4)) == (258, 2, 0)
    assert list(source.documents(4)) == []
    store.close()


@pytest.mark.parametrize("height", [4, 5])
def test_a_checkpoint_never_goes_back(tmp_path: Path, height: int) -> None:
    store = StateStore(tmp_path)
    store.save(5, Change(), b"")
    with pytest.raises(StorageError, match=f"checkpoint of height {height} after that of height 5"):
        store.save(height, Change(), b"")
    store.close()


@pytest.mark.parametrize(
    ("needle", "place"), [(b"the document", "table 3 document 0"), (b"the page", "table 9 page 0")]
)
def test_a_flipped_bit_in_state_names_table_and_page(tmp_path: Path, needle: bytes, place: str) -> None:
    store = StateStore(tmp_path)
    store.save(5, Change([(3, 0, b"the document")], [(9, 0, b"the page")], {3: 1, 9: 1}), b"")
    store.close()
    flip(tmp_path, needle)
    store = StateStore(tmp_path)
    loaded = store.load()
    assert loaded is not None
    with pytest.raises(StorageCorrupt, match=place):
        assert list(loaded[2].documents(3)) == list(loaded[2].rows(9))
    store.close()


def test_a_missing_record_is_noticed(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.save(
        5, Change([(3, 0, b"0"), (4, 1, b"1")], [(9, 0, b"p"), (9, 2, b"p")], {3: 2, 4: 2, 9: 600}), b""
    )
    loaded = store.load()
    assert loaded is not None
    with pytest.raises(StorageCorrupt, match="table 3: 1 documents are stored, the checkpoint counts 2"):
        list(loaded[2].documents(3))
    with pytest.raises(StorageCorrupt, match="table 4 document 0: it is missing"):
        list(loaded[2].documents(4))
    with pytest.raises(StorageCorrupt, match="table 9 page 1: it is missing"):
        list(loaded[2].rows(9))
    store.close()


# --- write-ahead log --------------------------------------------------------------------------------------


def test_the_log_keeps_order_within_each_height_and_forgets_only_below(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path)
    log.append(1, [b"a", b"b"], {b"v" * 32: b"block v"})
    log.append(2, [b"x"])
    log.append(1, [b"c"])
    log.append(2, [], {b"w" * 32: b"block w"})
    log.close()
    log = WriteAheadLog(tmp_path)
    assert (log.read(1), log.read(2), log.read(3)) == ([b"a", b"b", b"c"], [b"x"], [])
    assert log.height() == 2
    log.forget_below(2)
    assert (log.read(1), log.blocks(1)) == ([], {})
    assert (log.read(2), log.blocks(2)) == ([b"x"], {b"w" * 32: b"block w"})
    log.append(2, [b"y"])
    assert log.read(2) == [b"x", b"y"]
    log.close()


def test_entries_and_their_blocks_are_one_commit(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, map_bytes=256 * 1024)
    with pytest.raises(StorageFull):
        log.append(1, [b"entry" * 200_000], {b"v" * 32: b"block"})
    assert (log.read(1), log.blocks(1)) == ([], {})
    log.close()


def test_a_flipped_bit_in_the_log_names_its_height(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path)
    log.append(7, [b"first entry", b"second entry"])
    log.close()
    flip(tmp_path, b"second entry")
    log = WriteAheadLog(tmp_path)
    with pytest.raises(StorageCorrupt, match="height 7 entry 1"):
        log.read(7)
    log.close()


# --- signer -----------------------------------------------------------------------------------------------


def test_a_signer_without_state_refuses_to_sign(tmp_path: Path) -> None:
    store = SignerStore(tmp_path)
    with pytest.raises(SignerUninitialised, match="set a floor height"):
        store.claim(1, 0, 1, b"m")
    assert store.last() is None
    store.close()


def test_a_signer_signs_nothing_below_its_floor(tmp_path: Path) -> None:
    store = SignerStore(tmp_path)
    store.initialise(10)
    with pytest.raises(DoubleSignRefused, match="floor at height 10"):
        store.claim(9, 5, 2, b"m")
    store.claim(10, 0, 0, b"m")
    store.close()


def test_a_floor_only_rises(tmp_path: Path) -> None:
    store = SignerStore(tmp_path)
    store.initialise(10)
    for floor in (0, 9):
        with pytest.raises(StorageError, match=f"floor height {floor} is below 10"):
            store.initialise(floor)
    store.initialise(11)
    assert store.floor() == 11
    store.close()


def test_the_same_step_and_bytes_may_be_claimed_again(tmp_path: Path) -> None:
    store = SignerStore(tmp_path)
    store.initialise(1)
    store.claim(3, 1, 2, b"m")
    store.close()
    store = SignerStore(tmp_path)
    store.claim(3, 1, 2, b"m")
    last = store.last()
    assert last is not None
    assert (last.height, last.round, last.step, last.sign_bytes) == (3, 1, 2, b"m")
    store.close()


def test_other_bytes_in_the_same_step_are_refused(tmp_path: Path) -> None:
    store = SignerStore(tmp_path)
    store.initialise(1)
    store.claim(3, 1, 2, b"m")
    with pytest.raises(DoubleSignRefused, match="other bytes"):
        store.claim(3, 1, 2, b"n")
    store.close()


@pytest.mark.parametrize("step", [(2, 9, 9), (3, 0, 9), (3, 1, 1)])
def test_an_earlier_step_is_refused(tmp_path: Path, step: tuple[int, int, int]) -> None:
    store = SignerStore(tmp_path)
    store.initialise(1)
    store.claim(3, 1, 2, b"m")
    with pytest.raises(DoubleSignRefused, match="height 3 round 1 step 2 is already signed"):
        store.claim(*step, b"m")
    store.close()


@pytest.mark.parametrize("step", [(3, 1, 3), (3, 2, 0), (4, 0, 0)])
def test_a_later_step_is_signed(tmp_path: Path, step: tuple[int, int, int]) -> None:
    store = SignerStore(tmp_path)
    store.initialise(1)
    store.claim(3, 1, 2, b"m")
    store.claim(*step, b"n")
    assert store.last() == SignedState(*step, b"n")
    store.close()


def test_a_claim_that_could_not_be_recorded_is_none(tmp_path: Path) -> None:
    class NoCommit:
        def reached(self, point: str) -> None:
            if point == "signer: commit":
                raise StorageFull("signer", "a test")

    store = SignerStore(tmp_path)
    store.initialise(1)
    store.close()
    store = SignerStore(tmp_path, faults=NoCommit())
    with pytest.raises(StorageFull):
        store.claim(3, 1, 2, b"m")
    assert store.last() is None
    store.close()


def test_a_flipped_bit_in_the_signer_stops_it(tmp_path: Path) -> None:
    store = SignerStore(tmp_path)
    store.initialise(1)
    store.claim(3, 1, 2, b"the bytes to sign")
    store.close()
    flip(tmp_path, b"the bytes to sign")
    store = SignerStore(tmp_path)
    with pytest.raises(StorageCorrupt, match="last signature"):
        store.claim(3, 1, 2, b"the bytes to sign")
    store.close()


def test_a_copied_data_directory_without_its_signer_refuses_to_sign(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    blocks, signer = BlockStore(original / "blocks"), SignerStore(original / "signer")
    blocks.append(1, b"block", b"certificate")
    signer.initialise(1)
    signer.claim(1, 0, 2, b"m")
    blocks.close()
    signer.close()
    (copy / "blocks").mkdir(parents=True)
    (copy / "blocks" / "data.mdb").write_bytes((original / "blocks" / "data.mdb").read_bytes())
    blocks, signer = BlockStore(copy / "blocks"), SignerStore(copy / "signer")
    assert blocks.height() == 1
    with pytest.raises(SignerUninitialised):
        signer.claim(2, 0, 0, b"n")
    blocks.close()
    signer.close()
