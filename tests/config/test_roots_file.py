"""The roots that a newcomer is given: the file comes back as it was written, and a wrong one says why."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.pki import create_authority
from config.roots_file import LaterRoots, load_roots, roots_to_toml
from ledger.genesis import genesis_hash
from testing.little_chain import make_genesis

NOW = datetime(2026, 11, 25, tzinfo=UTC)
GENESIS = make_genesis()
LATER = LaterRoots(812, {"mof": tuple(create_authority("little", "mof", NOW).der for _ in range(2))})


def written(path: Path, later: LaterRoots, genesis_digest: bytes = genesis_hash(GENESIS)) -> Path:
    path.write_text(roots_to_toml(genesis_digest, later))
    return path


def test_roots_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert load_roots(written(tmp_path / "roots.toml", LATER), GENESIS) == LATER


def test_roots_of_another_chain_or_institution_are_refused(tmp_path: Path) -> None:
    wrong = replace(LATER, roots={"ministry": LATER.roots["mof"][:1]})
    with pytest.raises(ConfigError) as refused:
        load_roots(written(tmp_path / "roots.toml", wrong, bytes(32)), GENESIS)
    assert "genesis_hash: " + "00" * 32 in refused.value.problems[0]
    assert "roots[0].institution: 'ministry': there is none" in refused.value.problems[1]


def test_what_is_no_root_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "roots.toml", LATER)
    path.write_text(path.read_text().replace("BEGIN CERTIFICATE", "BEGIN PUBLIC KEY"))
    with pytest.raises(ConfigError, match="is not a certificate in PEM"):
        load_roots(path, GENESIS)
