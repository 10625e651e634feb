"""Settings of nodes and gateways: strict keys, every problem at once, paths relative to their file."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import (
    load_gateway_settings,
    load_node_settings,
    settings_to_toml,
    split_address,
)

NODE = """
name = "mof"
institution = "mof"
genesis = "../genesis.toml"
data_dir = "."
listen = "127.0.0.1:26600"
socket = "node.sock"
certificate = "tls.crt"
certificate_key = "tls.pem"
key = "/etc/mohur/key.pem"

[[peers]]
name = "sbp"
institution = "sbp"
address = "sbp.example:26600"
"""
GATEWAY = 'listen = "127.0.0.1:28600"\nsocket = "node.sock"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_relative_paths_are_resolved_against_the_file(tmp_path: Path) -> None:
    settings = load_node_settings(written(tmp_path, NODE))
    assert settings.certificate == tmp_path / "tls.crt"
    assert settings.socket == tmp_path / "node.sock"
    assert settings.key == Path("/etc/mohur/key.pem")
    assert settings.signer_dir == tmp_path / "signer"
    assert load_gateway_settings(written(tmp_path, GATEWAY)).socket == tmp_path / "node.sock"


def test_settings_survive_being_written_and_loaded(tmp_path: Path) -> None:
    settings = load_node_settings(written(tmp_path, NODE + "\n[limits]\nconnections = 7\n"))
    assert load_node_settings(written(tmp_path, settings_to_toml(settings, "again"))) == settings


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    text = NODE.replace("listen =", "lisen =") + 'adress = "x:1"\n[limits]\nconection = 1\n'
    with pytest.raises(ConfigError) as caught:
        load_node_settings(written(tmp_path, text))
    path = tmp_path / "node.toml"
    assert set(caught.value.problems) == {
        f"{path}: listen: is required",
        f"{path}: lisen: unknown key; did you mean 'listen'?",
        f"{path}: peers[0].adress: unknown key; did you mean 'address'?",
        f"{path}: limits.conection: unknown key; did you mean 'connections'?",
    }


def test_a_gateway_has_no_place_for_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.toml: key: unknown key"):
        load_gateway_settings(written(tmp_path, GATEWAY + 'key = "key.pem"\n'))


def test_the_environment_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("PASSPHRASE_FILE", "/somewhere")  # a key that the file does not have
    settings = load_node_settings(written(tmp_path, NODE))
    assert (settings.listen, settings.passphrase_file) == ("127.0.0.1:26600", None)


def test_a_limit_outside_its_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"limits\.connections: 0: .*greater than or equal to 1"):
        load_node_settings(written(tmp_path, NODE + "[limits]\nconnections = 0\n"))
    with pytest.raises(ConfigError, match=r"limits\.connections: '7': must be an integer"):
        load_node_settings(written(tmp_path, NODE + '[limits]\nconnections = "7"\n'))


def test_a_peer_named_twice_or_as_the_node_itself_is_refused(tmp_path: Path) -> None:
    row = '[[peers]]\nname = "{}"\ninstitution = "sbp"\naddress = "x:1"\n'
    with pytest.raises(ConfigError) as caught:
        load_node_settings(written(tmp_path, NODE + row.format("sbp") + row.format("mof")))
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "peers[2].name: 'mof': is this node itself",
        "peers[1].name: 'sbp': appears twice",
    ]


def test_a_socket_path_that_unix_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"socket: .*at most 107"):
        load_gateway_settings(written(tmp_path, GATEWAY.replace("node.sock", "s" * 100)))


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "a b:1", "::1:1"]
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_address(text)


def test_addresses_are_taken_apart() -> None:
    assert split_address("node.example:26600") == ("node.example", 26600)
    assert split_address("[::1]:80") == ("::1", 80)


def test_a_file_with_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('listen = "127.0.0.1:1"\n', encoding="utf-8-sig")
    with pytest.raises(ConfigError, match="begins with a byte order mark"):
        load_gateway_settings(path)
