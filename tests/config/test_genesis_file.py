"""genesis.toml: one value from one file, and every problem at once, each with its file and key."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.errors import ConfigError
from config.genesis_file import genesis_to_toml, load_genesis
from config.pki import create_authority
from ledger.genesis import (
    Genesis,
    GenesisInstitution,
    GenesisNode,
    default_policies,
    genesis_hash,
)
from primitives.signatures import public_key_of

NAMES = ("mof", "sbp", "pvara", "secp", "fmu")
ROOTS = {name: create_authority("mohur-test", name, datetime.now(UTC)).der for name in NAMES}


def key(number: int) -> bytes:
    return public_key_of(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")))


GENESIS = Genesis(
    version=1,
    chain="mohur-test",
    chain_class="development",
    time_ms=1_750_000_000_123,
    institutions=tuple(
        GenesisInstitution(
            name,
            f"Title of {name}",
            name != "fmu",
            2,
            (key(3 * i + 1), key(3 * i + 2), key(3 * i + 3)),
            ROOTS[name],
        )
        for i, name in enumerate(NAMES)
    ),
    nodes=tuple(GenesisNode(name, name, key(100 + i), 10, "validator") for i, name in enumerate(NAMES[:4])),
    policies=default_policies(),
    parameters=(("idle_ms", 500), ("aml_registered_services", ("account_open", "account_update"))),
    treasury="mof",
)


@pytest.fixture
def tables() -> dict[str, Any]:
    return tomllib.loads(genesis_to_toml(GENESIS))


def write(folder: Path, tables: dict[str, Any]) -> Path:
    path = folder / "genesis.toml"
    path.write_text(tomlkit.dumps(tables))
    return path


def problems_of(folder: Path, tables: dict[str, Any]) -> list[str]:
    """What is wrong with the file, without its name, which every problem begins with."""
    path = write(folder, tables)
    with pytest.raises(ConfigError) as caught:
        load_genesis(path)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_a_genesis_survives_being_written_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "genesis.toml"
    path.write_text(genesis_to_toml(GENESIS))
    loaded = load_genesis(path)
    assert genesis_hash(loaded) == genesis_hash(
        load_genesis(write(tmp_path, tomllib.loads(path.read_text())))
    )
    assert loaded.institutions == GENESIS.institutions
    assert loaded.nodes == GENESIS.nodes
    assert loaded.time_ms == GENESIS.time_ms
    assert dict(loaded.parameters) == dict(GENESIS.parameters)


def test_the_hash_does_not_depend_on_comments_or_the_order_of_keys(
    tmp_path: Path, tables: dict[str, Any]
) -> None:
    before = genesis_hash(load_genesis(write(tmp_path, tables)))
    turned = {name: tables[name] for name in reversed(list(tables))}
    turned["policies"] = {act: tables["policies"][act] for act in reversed(list(tables["policies"]))}
    turned["parameters"] = {name: tables["parameters"][name] for name in reversed(list(tables["parameters"]))}
    path = tmp_path / "turned.toml"
    plain = {name: value for name, value in turned.items() if not isinstance(value, dict | list)}
    path.write_text("# another comment\n" + tomlkit.dumps(plain | turned))
    assert genesis_hash(load_genesis(path)) == before


@pytest.mark.parametrize(
    ("place", "old", "new", "said"),
    [
        ([], "treasury", "tresury", "tresury: unknown key; did you mean 'treasury'?"),
        (
            ["institutions", 0],
            "threshold",
            "treshold",
            "institutions.mof.treshold: unknown key; did you mean 'threshold'?",
        ),
        (["nodes", 1], "power", "powr", "nodes.sbp.powr: unknown key; did you mean 'power'?"),
        (["policies", "lift"], "rule", "rul", "policies.lift.rul: unknown key; did you mean 'rule'?"),
        (["policies"], "lift", "lifts", "policies.lifts: unknown key; did you mean 'lift'?"),
        (["parameters"], "idle_ms", "idle_m", "parameters.idle_m: unknown key; did you mean 'idle_ms'?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tmp_path: Path, tables: dict[str, Any], place: list[Any], old: str, new: str, said: str
) -> None:
    table = tables
    for step in place:
        table = table[step]
    table[new] = table.pop(old)
    assert said in problems_of(tmp_path, tables)


def test_every_problem_is_listed_at_once(tmp_path: Path, tables: dict[str, Any]) -> None:
    tables["clas"] = "x"
    tables["institutions"][0]["threshold"] = 1
    tables["institutions"][1]["officers"][2] = "abc"
    tables["institutions"][2]["ca_root"] = "no certificate"
    tables["nodes"][0]["power"] = "ten"
    tables["nodes"][1]["institution"] = "spb"
    tables["policies"]["freeze"]["rule"] = "any"
    tables["parameters"]["idle_ms"] = 0
    del tables["time"]
    found = problems_of(tmp_path, tables)
    assert len(found) == 9, found
    for said in (
        "time: is required",
        "clas: unknown key; did you mean 'class'?",
        "institutions.sbp.officers[2]: 'abc': must be 64 lower-case hex digits",
        "nodes.mof.power: 'ten': must be an integer",
        "institutions.mof.threshold: 1 is not from 2 to its 3 officers",
        "nodes.sbp.institution: 'spb' is not an institution",
        "parameters.idle_ms: 0: must be from 10 to 60000",
    ):
        assert said in found
    assert any(said.startswith("institutions.pvara.ca_root: is not a certificate in PEM") for said in found)
    assert any(said.startswith("policies.freeze.rule: 'any': ") for said in found)


def test_two_institutions_may_not_share_a_root(tmp_path: Path, tables: dict[str, Any]) -> None:
    tables["institutions"][1]["ca_root"] = tables["institutions"][0]["ca_root"]
    assert problems_of(tmp_path, tables) == ["institutions.sbp.ca_root: is already the root of mof"]


def test_a_key_enrolled_twice_is_named_at_both_places(tmp_path: Path, tables: dict[str, Any]) -> None:
    tables["nodes"][0]["public_key"] = tables["institutions"][0]["officers"][0]
    assert problems_of(tmp_path, tables) == [
        "nodes.mof.public_key: the key is already that of institutions.mof.officers[0]"
    ]


def test_a_time_without_an_offset_or_finer_than_a_millisecond_is_refused(
    tmp_path: Path, tables: dict[str, Any]
) -> None:
    for time in (datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)):
        tables["time"] = time
        assert "must be a time in whole milliseconds" in problems_of(tmp_path, tables)[0]


def test_a_boolean_is_not_a_number(tmp_path: Path, tables: dict[str, Any]) -> None:
    tables["nodes"][0]["power"] = True
    assert problems_of(tmp_path, tables) == ["nodes.mof.power: True: must be an integer"]


@pytest.mark.parametrize("place", ["institutions", "nodes", "policies"])
def test_a_table_of_another_shape_is_refused(tmp_path: Path, tables: dict[str, Any], place: str) -> None:
    tables[place] = "nothing"
    assert problems_of(tmp_path, tables)[0].startswith(f"{place}: 'nothing': must be a ")
    tables[place] = [1] if place != "policies" else {"lift": 1}
    assert problems_of(tmp_path, tables)


def test_a_missing_file_and_a_file_that_is_not_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load_genesis(tmp_path / "absent.toml")
    path = tmp_path / "broken.toml"
    path.write_text("chain = \n")
    with pytest.raises(ConfigError, match=r"broken\.toml: is not TOML: .*line 1"):
        load_genesis(path)
