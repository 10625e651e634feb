"""The recorded chain: any Python under any hash seed comes to its roots, and a changed byte is noticed.

`make replay`, which CI runs, asks the other Pythons that are installed.
"""

import sys
from pathlib import Path

import pytest

from ledger.kinds import BY_NAME
from node.replica import Replica
from node.sealed import open_block
from primitives.codec import pack, unpack
from testing.limits import RECORDING_BYTES_MAX
from testing.pythons import HASH_SEEDS, HOUSE, PACKAGES, interpreter, locked, replayed
from testing.record import kinds_of, record
from testing.replay import RECORDED, Differs, Recording, replay


@pytest.fixture(scope="module")
def data() -> bytes:
    return RECORDED.read_bytes()


def test_this_software_comes_to_the_roots_of_the_recorded_chain(data: bytes) -> None:
    replica = replay(data)
    recording = unpack(data, Recording, RECORDING_BYTES_MAX)
    assert replica.height == len(recording.blocks)
    assert kinds_of(recording) == set(BY_NAME), "a kind is not recorded: make record"
    assert sum(node.offences for node in replica.state.nodes) == 3


def test_recording_anew_gives_the_same_bytes(data: bytes) -> None:
    assert pack(record()) == data, "make record writes the recorded chain anew"


@pytest.mark.processes
@pytest.mark.parametrize("seed", HASH_SEEDS)
def test_the_hash_seed_has_no_part_in_it(seed: str, data: bytes) -> None:
    last = unpack(data, Recording, RECORDING_BYTES_MAX).state_root.hex()
    assert last in replayed(sys.executable, seed)


def test_one_byte_more_or_less_is_told_with_what_to_do(data: bytes) -> None:
    recording = unpack(data, Recording, RECORDING_BYTES_MAX)
    blocks = recording.blocks
    for fields, where in (
        ({"state_root": bytes(32)}, "its end: state_root"),
        ({"results_root": bytes(32)}, "its end: results_root"),
        ({"blocks": blocks[:-1]}, "its end: "),
        ({"blocks": (*blocks[:5], *blocks[6:])}, "height 6: height is 7, ours is 6"),
        ({"blocks": (*blocks[:5], blocks[5][:-1])}, "height 6: "),
    ):
        values = {name: getattr(recording, name) for name in recording.__struct_fields__}
        with pytest.raises(Differs, match=f"differs at {where}.*make record"):
            replay(pack(Recording(**(values | fields))))
    with pytest.raises(Differs, match="differs at genesis"):
        replay(data[:-1])


def test_a_chain_with_refusals_of_many_codes_is_recorded(data: bytes) -> None:
    recording = unpack(data, Recording, RECORDING_BYTES_MAX)
    assert all(unfit.refusal[0] for unfit in recording.refused)
    codes: set[int] = set()
    replica = Replica.at_genesis(recording.genesis)
    for raw in recording.blocks:
        codes.update(result.code for result in replica.execute(open_block(raw)).results)
    assert len(codes) >= 8


def test_other_pythons_get_the_packages_that_the_lock_pins() -> None:
    kept = locked((HOUSE / "requirements.lock").read_text())
    names = [line.split("==")[0] for line in kept.splitlines() if not line[0].isspace()]
    assert sorted(names) == sorted(PACKAGES)
    assert kept.count("--hash=sha256:") > len(names)


def test_a_python_that_does_not_run_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreter("3.99") is None
