"""The whole life of a bill on four processes, told by --json; then every way to falsify what it left behind.

The demo is played once, with few clients; the tests after that read the files of the network that it left.
"""

import contextlib
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import pytest

from consensus.encoding import decode_certificate, encode_certificate
from devnet import demo
from devnet.network import Network, create_network, load_network
from devnet.scenario import crash, figures
from ledger.codes import Code
from ledger.execution import Result
from ledger.kinds import transfer
from ledger.transactions import Transaction, assemble, decode_transaction, encode_body
from primitives.hashing import TX_LIST
from primitives.merkle import list_root
from storage.blocks import BLOCKS, CERTIFICATES, RESULTS, TABLES, BlockStore
from storage.environment import MAP_BYTES, Environment, Table
from testing.disk import results_height
from wire.blocks import Block, decode_block

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

CLIENTS = 40
TRADES = 2_000
COMMAND_S = 120
INVALID = 6
CHAPTERS = [
    *("genesis", "admission", "programme", "issue", "distribution", "trading", "crash", "maturity"),
    *("proof", "audit"),
]
REFUSALS = {
    *("overdraft", "sequence_used", "wrong_chain", "expired", "frozen", "ineligible", "bad_signature"),
    *("malformed", "stage_not_reached", "cap_exceeded", "not_authorised", "dvp_cash_short"),
    "duplicate_officer",
}


@dataclass(frozen=True)
class Played:
    """A demo that came to its end: its files, its last line, its exit code."""

    directory: Path
    report: dict[str, Any]
    exit_code: int
    shown: str  # what a person saw

    @property
    def network(self) -> Network:
        return load_network(self.directory)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    directory = tmp_path_factory.mktemp("demo") / "net"
    output, shown = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(shown),
    ):
        # How long a gap may be is a figure of the demo itself; the machine of a test may be busy.
        patch.setattr(crash, "GAP_MS_MAX", 30_000)
        with pytest.raises(SystemExit) as ended:
            demo.main(as_json=True, directory=directory, clients=CLIENTS, trades=TRADES)
    lines = output.getvalue().splitlines()
    assert isinstance(ended.value.code, int)
    return Played(directory, json.loads(lines[-1]), ended.value.code, shown.getvalue())


@pytest.fixture
def blocks(played: Played, tmp_path: Path) -> Path:
    """A copy of one validator's blocks, in a data directory of its own, to be falsified."""
    (tmp_path / "blocks").mkdir()
    shutil.copy(played.directory / "secp" / "blocks" / "data.mdb", tmp_path / "blocks")
    return tmp_path / "blocks"


def mohur(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Run `mohur ARGUMENTS --json`; its exit code and its object."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1])


def audit_fault(played: Played, blocks: Path) -> tuple[int, str]:
    """The height and the words with which `mohur audit` refuses these blocks."""
    code, said = mohur("audit", blocks.parent, "--genesis", played.network.genesis)
    assert (code, said["ok"]) == (INVALID, False)
    assert said["height"] == said["fault"]["height"] - 1
    return said["fault"]["height"], said["fault"]["what"]


def flip_in_place(blocks: Path, table: Table, height: int) -> None:
    """Change one byte of a stored value behind the store's back."""
    with lmdb.open(str(blocks), max_dbs=8, map_size=MAP_BYTES) as environment:
        handle = environment.open_db(table.name.encode(), create=False)
        with environment.begin(write=True) as writer:
            stored = bytes(writer.get(height.to_bytes(8, "big"), db=handle))  # type: ignore[arg-type]
            flipped = stored[:-1] + bytes([stored[-1] ^ 1])
            writer.put(height.to_bytes(8, "big"), flipped, db=handle)


def rewrite(blocks: Path, table: Table, height: int, change: Callable[[bytes], bytes]) -> None:
    """Change a stored value as somebody would who knows how checksums are made."""
    environment = Environment(blocks, "blocks", TABLES)
    with environment.write() as writer:
        stored = writer.get(table, height.to_bytes(8, "big"))
        assert stored is not None
        writer.put(table, height.to_bytes(8, "big"), change(stored))
    environment.close()


def stored_blocks(blocks: Path) -> Iterator[Block]:
    store = BlockStore(blocks, readonly=True)
    try:
        for height in range(1, store.height() + 1):
            stored = store.block(height)
            assert stored is not None
            yield decode_block(stored)
    finally:
        store.close()


def first_transfer(blocks: Path) -> tuple[int, int, Transaction]:
    """Height, position and transaction of the first transfer that a self-custody client signed."""
    for block in stored_blocks(blocks):
        for position, raw in enumerate(block.transactions):
            transaction = decode_transaction(raw)
            if transaction.kind == transfer.KIND.number:
                return block.header.height, position, transaction
    raise AssertionError("no transfer in any block")


def with_more(transaction: Transaction) -> bytes:
    """The transfer with an amount greater by one, under the signature of the old one."""
    payload = msgspec.structs.replace(transaction.payload, amount=transaction.payload.amount + 1)
    body = encode_body(
        transaction.definition, transaction.signers, transaction.sequence, transaction.valid_until, payload
    )
    return assemble(body, transaction.signatures)


# --- the demo itself --------------------------------------------------------------------------------------


def test_the_demo_tells_every_chapter_in_its_last_line(played: Played) -> None:
    report = played.report
    assert report["ok"], report
    assert played.exit_code == 0
    assert [step["name"] for step in report["steps"]] == CHAPTERS
    assert all(step["ok"] and step["detail"] for step in report["steps"])
    assert set(report) == {
        *("ok", "steps", "validators", "height", "transfers", "state_root", "roots_equal", "refusals"),
        *("restart_caught_up", "audit_ok", "proof_ok", "seconds"),
    }
    assert report["validators"] == 4
    assert report["transfers"] >= TRADES + figures.SINGLES
    assert report["height"] > 100
    assert len(bytes.fromhex(report["state_root"])) == 32
    assert report["roots_equal"] is report["restart_caught_up"] is True
    assert report["audit_ok"] is report["proof_ok"] is True


def test_each_refusal_has_the_code_of_the_ledger(played: Played) -> None:
    assert played.report["refusals"] == {name: int(Code[name.upper()]) for name in REFUSALS}


def test_every_refusal_that_reaches_a_block_stands_in_one_and_no_other_does(played: Played) -> None:
    store = BlockStore(played.directory / "secp" / "blocks", readonly=True)
    found: set[int] = set()
    for height in range(1, results_height(store) + 1):
        stored = store.results(height)
        assert stored is not None
        for result in msgspec.msgpack.decode(stored, type=tuple[Result, ...]):
            found |= {result.code, *memoryview(result.rows).cast("H")}
    store.close()
    assert {Code(code).word for code in found} & REFUSALS == REFUSALS - figures.BEFORE_A_BLOCK


def test_the_demo_shows_transactions_heights_and_balances(played: Played) -> None:
    """Ids stand in a narrow column, folded; each names a transaction that is in a block."""
    cells = [[cell.strip() for cell in line.split("\u2502")] for line in played.shown.splitlines()]
    folded = "".join(row[-2] for row in cells if len(row) == 6 and len(row[-2]) == demo.ID_WIDTH)
    ids = [bytes.fromhex(folded[start : start + 64]) for start in range(0, len(folded), 64)]
    store = BlockStore(played.directory / "secp" / "blocks", readonly=True)
    assert len(ids) == CHAPTERS.index("maturity")  # from admission on
    assert all(store.find_transaction(identity) is not None for identity in ids)
    store.close()
    assert "the frozen client" in played.shown


def test_every_validator_is_left_with_the_same_chain(played: Played) -> None:
    """Each stopped at its own height; what they share is equal byte for byte."""
    chains = [
        list(stored_blocks(played.directory / name / "blocks")) for name in ("mof", "sbp", "pvara", "secp")
    ]
    assert min(map(len, chains)) >= played.report["height"]
    for same_height in zip(*chains, strict=False):
        assert len({block.encoded() for block in same_height}) == 1


def test_whatever_goes_wrong_is_said_and_the_last_line_is_still_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(demo, "running_network", broken)
    with pytest.raises(SystemExit) as ended:
        demo.main(as_json=True, directory=tmp_path, clients=CLIENTS, trades=TRADES)
    captured = capsys.readouterr()
    assert ended.value.code == 1
    assert json.loads(captured.out.splitlines()[-1])["ok"] is False
    assert "OSError: no more processes" in captured.err


# --- the audit --------------------------------------------------------------------------------------------


def test_the_audit_proves_the_chain_of_a_validator_that_was_killed(played: Played) -> None:
    code, said = mohur("audit", played.directory / "pvara")
    assert (code, said["ok"], said["fault"]) == (0, True, None)
    assert said["genesis_hash"] == played.network.genesis_hash
    assert said["checkpoint_height"] == said["height"] >= played.report["height"]
    assert said["movements"] >= played.report["transfers"]
    supplies = {item["code"]: item["supply"] for item in said["instruments"]}
    assert supplies[figures.ISIN] == 0


@pytest.mark.parametrize("table", [BLOCKS, CERTIFICATES, RESULTS], ids=lambda table: table.name)
def test_the_audit_names_the_height_of_one_flipped_byte(played: Played, blocks: Path, table: Table) -> None:
    flip_in_place(blocks, table, 23)
    height, what = audit_fault(played, blocks)
    assert height == 23
    assert f"{table.name} of height 23" in what


def test_the_audit_names_the_height_of_a_changed_amount(played: Played, blocks: Path) -> None:
    changed_at, position, transaction = first_transfer(blocks)

    def change(stored: bytes) -> bytes:
        block = decode_block(stored)
        transactions = list(block.transactions)
        transactions[position] = with_more(transaction)
        return Block(block.header, tuple(transactions), block.evidence).encoded()

    rewrite(blocks, BLOCKS, changed_at, change)
    assert audit_fault(played, blocks) == (changed_at, "block: txs_root does not commit to the transactions")


def test_a_changed_amount_under_a_matching_root_still_lacks_its_signature(
    played: Played, blocks: Path
) -> None:
    changed_at, position, transaction = first_transfer(blocks)

    def change(stored: bytes) -> bytes:
        block = decode_block(stored)
        transactions = list(block.transactions)
        transactions[position] = with_more(transaction)
        header = msgspec.structs.replace(block.header, txs_root=list_root(TX_LIST, transactions))
        return Block(header, tuple(transactions), block.evidence).encoded()

    rewrite(blocks, BLOCKS, changed_at, change)
    height, what = audit_fault(played, blocks)
    assert height == changed_at
    assert "signature" in what


def test_the_audit_names_the_height_of_a_changed_certificate(played: Played, blocks: Path) -> None:
    def change(stored: bytes) -> bytes:
        certificate = decode_certificate(stored)
        position, signature = certificate.signatures[0]
        forged = (position, bytes([signature[0] ^ 1]) + signature[1:])
        return encode_certificate(
            dataclasses.replace(certificate, signatures=(forged, *certificate.signatures[1:]))
        )

    rewrite(blocks, CERTIFICATES, 31, change)
    height, what = audit_fault(played, blocks)
    assert height == 31
    assert what.startswith("certificate: ")


# --- the proof --------------------------------------------------------------------------------------------


def test_a_proof_shows_the_balance_against_the_genesis_alone(played: Played, tmp_path: Path) -> None:
    genesis = shutil.copy(played.network.genesis, tmp_path / "genesis.toml")
    code, said = mohur("verify", played.directory / "holding.proof", "--genesis", genesis)
    assert (code, said["ok"]) == (0, True)
    assert said["chain"] == played.network.chain
    assert said["height"] >= played.report["height"]
    assert said["value"]["balance"] > 0


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.999])
def test_a_proof_with_a_flipped_byte_is_refused(played: Played, tmp_path: Path, place: float) -> None:
    forged = bytearray((played.directory / "holding.proof").read_bytes())
    forged[int(place * len(forged))] ^= 1
    (tmp_path / "forged.proof").write_bytes(forged)
    code, said = mohur("verify", tmp_path / "forged.proof", "--genesis", played.network.genesis)
    assert (code, said["ok"], said["error"]["name"]) == (INVALID, False, "proof_refused")


def test_a_proof_is_refused_under_another_genesis(played: Played, tmp_path: Path) -> None:
    other = create_network(tmp_path / "other")
    code, said = mohur("verify", played.directory / "holding.proof", "--genesis", other.genesis)
    assert (code, said["ok"], said["error"]["name"]) == (INVALID, False, "proof_refused")
