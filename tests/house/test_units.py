"""The units of systemd that are shipped, and the page that says what they keep from whom."""

import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]


def unit(name: str) -> dict[str, list[str]]:
    """Every setting of a unit, with each of its values in order."""
    found: dict[str, list[str]] = {}
    for line in (HOUSE / "docs" / "examples" / name).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_gateways_unit_leaves_it_no_way_to_a_key() -> None:
    gateway, node = unit("mohur-gateway.service"), unit("mohur-node.service")

    assert gateway["User"] != node["User"]
    assert gateway["SupplementaryGroups"] == node["Group"]
    hidden = gateway["InaccessiblePaths"][0].split()
    assert {f"-/var/lib/{node['StateDirectory'][0]}", "-/etc/mohur/keys"} <= {*hidden}
    for key, value in {
        "ProtectSystem": "strict", "ProtectHome": "yes", "ProtectProc": "invisible", "ProcSubset": "pid",
        "PrivateUsers": "yes", "PrivateDevices": "yes", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "",
        "AmbientCapabilities": "", "RestrictNamespaces": "yes", "KeyringMode": "private", "LimitCORE": "0",
    }.items():  # fmt: skip
        assert gateway[key] == [value], key
    assert any("@debug" in value and value.startswith("~") for value in gateway["SystemCallFilter"])
    assert not {"LoadCredential", "LoadCredentialEncrypted", "ReadWritePaths", "Environment"} & {*gateway}


def test_the_nodes_unit_holds_no_passphrase() -> None:
    node = unit("mohur-node.service")
    assert "LoadCredentialEncrypted" in node
    assert not {"Environment", "EnvironmentFile", "PassEnvironment"} & {*node}
    assert "pass" not in node["ExecStart"][0]


NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (HOUSE / "docs" / "security.md").read_text())


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_the_page_of_secrets_names_is_there(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (HOUSE / path).read_text(), re.MULTILINE)


def test_the_page_of_secrets_names_tests() -> None:
    assert len(NAMED) > 10
