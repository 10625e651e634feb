"""The files of a local network: complete, consistent, for their owner alone, on addresses of their own."""

import json
import tomllib
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.genesis_file import load_genesis
from config.keys import load_key, load_public_key
from config.pki import CertificateError, client_context, peer_identity, server_context
from config.resilience import resilience
from config.settings import load_gateway_settings, load_node_settings
from devnet.network import (
    LOCAL_PARAMETERS,
    DevnetError,
    Network,
    create_network,
    load_network,
    remove_network,
)
from ledger.genesis import genesis_hash
from storage.signer import SignerStore


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return create_network(tmp_path_factory.mktemp("network") / "net")


def test_the_default_network_is_that_of_the_four_validators(network: Network) -> None:
    genesis = load_genesis(Path(network.genesis))
    assert [node.name for node in genesis.nodes] == ["mof", "sbp", "pvara", "secp"]
    assert {
        item.name: (item.voting, len(item.officers), item.threshold) for item in genesis.institutions
    } == {
        "mof": (True, 3, 2),
        "sbp": (True, 3, 2),
        "pvara": (True, 3, 2),
        "secp": (True, 3, 2),
        "fmu": (False, 3, 2),
    }
    assert genesis_hash(genesis).hex() == network.genesis_hash
    assert resilience(genesis).strength.losable_nodes == 1


def test_every_keystore_opens_and_is_the_one_in_the_genesis(network: Network) -> None:
    genesis = load_genesis(Path(network.genesis))
    for institution in genesis.institutions:
        paths = [Path(path) for path in network.officers[institution.name]]
        assert tuple(load_public_key(path) for path in paths) == institution.officers
        load_key(paths[0], network.passphrase())
    for files, node in zip(network.nodes, genesis.nodes, strict=True):
        assert load_public_key(Path(files.directory) / "key.pem") == node.public_key


def test_every_node_has_settings_that_load_and_certificates_that_hold(network: Network) -> None:
    roots = {item.name: item.ca_root for item in load_genesis(Path(network.genesis)).institutions}
    for files in network.nodes:
        settings = load_node_settings(files.node_toml)
        assert settings.genesis.samefile(network.genesis)
        assert [peer.name for peer in settings.peers] == [
            n.name for n in network.nodes if n.name != files.name
        ]
        assert str(settings.socket) == files.socket
        assert load_gateway_settings(files.gateway_toml).socket == settings.socket
        for context in (server_context, client_context):
            context(settings.certificate, settings.certificate_key, network.passphrase(), roots.values())


def test_a_new_signer_may_sign_from_the_first_height(network: Network) -> None:
    store = SignerStore(Path(network.node("sbp").directory) / "signer")
    try:
        assert (store.floor(), store.last()) == (1, None)
    finally:
        store.close()


def test_nobody_else_may_read_what_is_private(network: Network) -> None:
    private = [*Path(network.directory).rglob("*.pem"), Path(network.passphrase_file)]
    assert len(private) == 1 + 15 + 5 + 8
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert Path(network.directory).stat().st_mode & 0o777 == 0o700


def test_devnet_json_says_it_all(network: Network) -> None:
    path = Path(network.directory) / "devnet.json"
    assert load_network(path.parent) == network
    assert set(json.loads(path.read_text())) == {
        *("chain", "genesis_hash", "directory", "genesis", "passphrase_file", "pid", "nodes", "officers")
    }


def test_two_networks_share_no_address(network: Network, tmp_path: Path) -> None:
    other = create_network(tmp_path / "other")
    assert not {node.rpc for node in network.nodes} & {node.rpc for node in other.nodes}
    assert not {node.address for node in network.nodes} & {node.address for node in other.nodes}


def test_a_deep_folder_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    network = create_network(deep)
    assert all(len(node.socket.encode()) <= 107 for node in network.nodes)
    sockets = Path(network.nodes[0].socket).parent
    assert sockets.is_dir()
    assert sockets.stat().st_mode & 0o777 == 0o700
    remove_network(deep)
    assert not sockets.exists()


def test_more_validators_go_round_the_institutions(tmp_path: Path) -> None:
    network = create_network(tmp_path / "net", validators=6)
    assert [(node.name, node.institution) for node in network.nodes][4:] == [
        ("mof-2", "mof"),
        ("sbp-2", "sbp"),
    ]
    assert resilience(load_genesis(Path(network.genesis))).strength.losable_nodes == 1


def test_parameters_reach_the_genesis_and_are_checked(tmp_path: Path) -> None:
    network = create_network(tmp_path / "net", parameters={"idle_ms": 200})
    assert tomllib.loads(Path(network.genesis).read_text())["parameters"] == {
        **LOCAL_PARAMETERS,
        "idle_ms": 200,
    }
    with pytest.raises(ConfigError, match=r"parameters\.idle: unknown key; did you mean 'idle_ms'"):
        create_network(tmp_path / "wrong", parameters={"idle": 200})


def test_what_is_not_a_network_is_neither_overwritten_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(DevnetError, match="is not empty"):
        create_network(tmp_path)
    with pytest.raises(DevnetError, match="there is no network here"):
        remove_network(tmp_path)
    assert (tmp_path / "letter.txt").exists()


def test_a_certificate_of_the_network_names_its_node(network: Network) -> None:
    roots = {item.name: (item.ca_root,) for item in load_genesis(Path(network.genesis)).institutions}
    files = network.node("pvara")
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = x509.load_pem_x509_certificate((Path(files.directory) / "tls.crt").read_bytes())
    der = certificate.public_bytes(Encoding.DER)
    assert peer_identity(der, roots).uri == "mohur://mohur-dev/pvara/pvara"
    with pytest.raises(CertificateError):
        peer_identity(der, roots | {"pvara": roots["sbp"]})


def test_a_further_keystore_opens_with_the_networks_passphrase(network: Network) -> None:
    path = network.new_keystore("binance")
    load_key(path, network.passphrase())


def test_an_unknown_node_is_named_with_those_that_are_there(network: Network) -> None:
    with pytest.raises(DevnetError, match="no node 'mfo': there are mof, sbp, pvara, secp"):
        network.node("mfo")
