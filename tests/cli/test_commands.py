"""The `mohur` command: help for a stranger, one JSON object on request, exit codes that mean something."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.output import EXIT_HELP, Exit
from config.genesis_file import load_genesis
from config.pki import Identity, create_authority, issue_node, save_certificate
from config.roots_file import LaterRoots, roots_to_toml
from config.settings import load_node_settings, settings_to_toml
from devnet.network import CHAIN, Network, create_network
from ledger.enrolment import proof_input
from ledger.genesis import genesis_hash
from ledger.rows import Role
from primitives.signatures import verify

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return create_network(tmp_path_factory.mktemp("cli") / "net")


@pytest.fixture(autouse=True)
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOHUR_PASSPHRASE", PASSPHRASE)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.stdout.count("\n") == 1
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def groups() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for group in app.registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        found.append((group.name,))
        for command in group.typer_instance.registered_commands:
            found.append((group.name, command.name or ""))
    return found


@pytest.mark.parametrize("path", groups())
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_the_exit_codes_are_in_the_help() -> None:
    numbers = [str(int(code)) for code in Exit]
    assert [number for number in numbers if f" {number} " not in EXIT_HELP] == []


def test_a_wrong_command_line_ends_with_2() -> None:
    assert run("keys", "mew").exit_code == Exit.USAGE


def test_a_key_proves_that_it_may_be_enrolled_for_the_purpose_named(tmp_path: Path, network: Network) -> None:
    made = answer("keys", "new", tmp_path / "a.pem")
    genesis = load_genesis(Path(network.genesis))
    key = bytes.fromhex(made["public_key"])
    kyc = "ab" * 32
    for option, text, role, about in (
        ("--officer", "pvara", Role.OFFICER, ("pvara",)),
        ("--node", "mof/mof-9", Role.NODE, ("mof", "mof-9")),
        ("--vasp", "htx", Role.SETTLEMENT, ("htx",)),
        ("--owner", f"htx/{kyc}", Role.OWNER, ("htx", bytes.fromhex(kyc))),
    ):
        said = answer("keys", "prove", tmp_path / "a.pem", "--genesis", network.genesis, option, text)
        proof = bytes.fromhex(said["proof"])
        assert verify(key, proof_input(genesis_hash(genesis), role, about, key), proof)
    odd = ((), ("--owner", "htx/ab"), ("--node", "mof"), ("--vasp", "htx", "--officer", "mof"))
    for options in odd:
        result = run("keys", "prove", tmp_path / "a.pem", "--genesis", network.genesis, *options)
        assert result.exit_code == Exit.USAGE


def test_keys_are_made_shown_and_listed(tmp_path: Path) -> None:
    made = answer("keys", "new", tmp_path / "a.pem")
    assert answer("keys", "show", tmp_path / "a.pem")["public_key"] == made["public_key"]
    assert answer("keys", "show", tmp_path / "a.pem", "--check")["private_key"] == "opens and matches"
    assert answer("keys", "list", tmp_path)["keys"] == [
        {"path": str(tmp_path / "a.pem"), "public_key": made["public_key"]}
    ]


def test_a_key_that_exists_ends_with_3_and_says_why(tmp_path: Path) -> None:
    run("keys", "new", tmp_path / "a.pem")
    result = run("keys", "new", tmp_path / "a.pem", "--json")
    assert result.exit_code == Exit.CONFIG
    error = json.loads(result.stdout)["error"]
    assert error["name"] == "key"
    assert "exists already" in error["message"]


def test_genesis_check_says_what_the_network_survives(network: Network) -> None:
    result = run("genesis", "check", network.genesis)
    assert result.exit_code == 0
    assert "Nodes, whichever they are, that may fail or lie: 1." in result.stdout
    assert "WARNING" not in result.stdout
    assert answer("genesis", "check", network.genesis)["losable_nodes"] == 1
    assert run("genesis", "hash", network.genesis).stdout.strip() == network.genesis_hash


def test_genesis_check_warns_that_three_validators_survive_nothing(tmp_path: Path) -> None:
    three = create_network(tmp_path / "net", validators=3)
    result = run("genesis", "check", three.genesis)
    assert "WARNING: this network survives no fault" in result.stdout
    assert "WARNING: sbp alone could stop this network." in result.stdout


def test_genesis_check_refuses_a_network_that_is_weaker_than_its_parameters_ask(tmp_path: Path) -> None:
    three = create_network(tmp_path / "net", validators=3)
    text = Path(three.genesis).read_text()
    Path(three.genesis).write_text(text.replace("losable_nodes_min = 0", "losable_nodes_min = 1"))
    result = run("genesis", "check", three.genesis, "--json")
    assert result.exit_code == Exit.CONFIG
    assert json.loads(result.stdout)["error"]["problems"] == [
        f"{three.genesis}: parameters.losable_nodes_min: 1, but losable_nodes of these nodes is 0:"
        " add validators, spread the power, or ask for less"
    ]


def test_genesis_check_lists_every_problem_and_ends_with_3(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "genesis.toml"
    text = Path(network.genesis).read_text().replace("threshold = 2", "treshold = 1", 1)
    path.write_text(text.replace('treasury = "mof"', 'treasury = "mfo"'))
    result = run("genesis", "check", path, "--json")
    assert result.exit_code == Exit.CONFIG
    assert set(json.loads(result.stdout)["error"]["problems"]) == {
        f"{path}: institutions.mof.threshold: is required",
        f"{path}: institutions.mof.treshold: unknown key; did you mean 'threshold'?",
        f"{path}: treasury: 'mfo' is not an institution",
    }


def test_a_node_whose_root_is_newer_than_the_genesis_is_prepared_with_a_file_of_roots(
    network: Network, tmp_path: Path
) -> None:
    authority = create_authority(CHAIN, "mof", datetime.now(UTC))
    issued = issue_node(authority, Identity(CHAIN, "mof", "mof"), datetime.now(UTC))
    save_certificate(issued, tmp_path / "tls.crt", tmp_path / "tls.pem", network.passphrase())
    later = LaterRoots(812, {"mof": (authority.der,)})
    (tmp_path / "roots.toml").write_text(roots_to_toml(bytes.fromhex(network.genesis_hash), later))
    own = {"certificate": Path("tls.crt"), "certificate_key": Path("tls.pem"), "data_dir": Path("data")}
    settings = load_node_settings(network.node("mof").node_toml).model_copy(update=own)
    file = tmp_path / "node.toml"
    file.write_text(settings_to_toml(settings, "Under the genesis alone."))
    refused = run("node", "init", "--config", file).stderr
    assert "no root of 'mof' has issued it; if institutions have changed their roots" in refused
    assert f"{tmp_path / 'tls.crt'}: " in refused
    settings = settings.model_copy(update={"roots": Path("roots.toml")})
    file.write_text(settings_to_toml(settings, "Under the roots of today."))
    result = run("node", "init", "--config", file)
    assert result.exit_code == 0, result.stderr


def test_institutions_make_a_genesis_together_and_each_prepares_its_node(tmp_path: Path) -> None:
    names = ("mof", "sbp", "pvara", "secp", "fmu")
    for name in names:
        folder = tmp_path / name
        run("keys", "authority", name, "--chain", "pak", "--dir", folder)
        for number in (1, 2, 3):
            run("keys", "new", folder / f"officer-{number}.pem")
        if name != "fmu":
            run("keys", "new", folder / "key.pem")
            command = ("keys", "certificate", name, "--institution", name, "--chain", "pak")
            assert run(*command, "--authority-dir", folder, "--dir", folder).exit_code == 0
    handed_in = [part for name in names for part in ("--institution", f"{name}={tmp_path / name}")]
    made = answer("genesis", "new", tmp_path / "genesis.toml", "--chain", "pak", *handed_in)
    assert (made["ok"], made["losable_nodes"], made["class"]) == (True, 1, "production")
    settings = tmp_path / "sbp" / "node.toml"
    settings.write_text(
        'name = "sbp"\ninstitution = "sbp"\ngenesis = "../genesis.toml"\ndata_dir = "data"\n'
        'listen = "127.0.0.1:26600"\nsocket = "node.sock"\n'
        'certificate = "tls.crt"\ncertificate_key = "tls.pem"\nkey = "key.pem"\n'
    )
    prepared = answer("node", "init", "--config", settings)
    assert prepared["genesis_hash"] == made["genesis_hash"]
    assert prepared["signs_from_height"] == 1
    assert (tmp_path / "sbp" / "data" / "signer").is_dir()


def test_node_init_refuses_a_certificate_or_key_of_another_node(network: Network, tmp_path: Path) -> None:
    text = network.node("mof").node_toml.read_text()
    text = text.replace("../", f"{network.directory}/").replace('data_dir = "."', f'data_dir = "{tmp_path}"')
    path = tmp_path / "node.toml"
    mof, sbp = (Path(network.node(name).directory) for name in ("mof", "sbp"))

    def init(certificate: Path, key: Path) -> str:
        changed = text.replace('"tls', f'"{certificate}/tls').replace('"key.pem"', f'"{key}/key.pem"')
        path.write_text(changed)
        result = run("node", "init", "--config", path, "--json")
        assert result.exit_code == Exit.CONFIG
        error = json.loads(result.stdout)["error"]
        return " ".join([error["message"], *error["problems"]])

    assert "names mohur://mohur-dev/sbp/sbp" in init(sbp, mof)
    assert "is not the key that the genesis gives node mof" in init(mof, sbp)


def test_a_signer_floor_only_rises(network: Network) -> None:
    settings = network.node("secp").node_toml
    assert answer("node", "init", "--config", settings, "--floor", "9")["signs_from_height"] == 9
    assert run("node", "init", "--config", settings, "--floor", "5").exit_code == Exit.FAILED


def test_a_wrong_settings_file_ends_with_3(tmp_path: Path) -> None:
    for group in ("node", "gateway"):
        assert run(group, "run", "--config", tmp_path / "absent.toml").exit_code == Exit.CONFIG


def test_devnet_status_and_down_of_a_network_that_does_not_run(network: Network, tmp_path: Path) -> None:
    status = run("devnet", "status", "--dir", network.directory, "--json")
    assert status.exit_code == Exit.FAILED
    assert json.loads(status.stdout)["running"] is False
    assert answer("devnet", "down", "--dir", network.directory) == {"ok": True, "stopped": False}
    assert run("devnet", "down", "--dir", tmp_path / "absent").exit_code == Exit.FAILED


def test_the_module_runs_as_the_command_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ)
    assert done.stdout.startswith("mohur ")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"trio", "lmdb", "numpy", "httpx2", "h11", "cryptography", "pydantic"}
    code = f"import sys, cli.main; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
