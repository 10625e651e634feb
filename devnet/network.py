"""The files of a local network: genesis, keys, certificates and settings of every node, made in one go.

`devnet.json` says what there is: nodes with their addresses and, while they run, their process ids, the
keystores of all officers, and the file with the passphrase that opens them. Each network draws a loopback
address of its own (127.x.y.z), so the ports of two networks never meet.
"""

import itertools
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from config.genesis_file import genesis_to_toml, load_genesis
from config.keys import new_key, pin_chain, read_passphrase, write_private
from config.limits import SOCKET_PATH_BYTES_MAX
from config.pki import Identity, Issued, create_authority, issue_node, save_certificate
from config.settings import GatewaySettings, LogSettings, NodeSettings, PeerSettings, settings_to_toml
from devnet.limits import DEVNET_VALIDATORS_MAX
from ledger.genesis import (
    DEVELOPMENT,
    VALIDATOR,
    Genesis,
    GenesisInstitution,
    GenesisNode,
    default_policies,
    genesis_hash,
)
from ledger.parameters import Parameters, Value
from ledger.release import newest
from ledger.survival import LEAST, strength
from storage.signer import SignerStore

CHAIN = "mohur-dev"
TREASURY = "mof"
TITLES: Mapping[str, str] = {
    "mof": "Ministry of Finance",
    "sbp": "State Bank of Pakistan",
    "pvara": "Pakistan Virtual Assets Regulatory Authority",
    "secp": "Securities and Exchange Commission of Pakistan",
    "fmu": "Financial Monitoring Unit",
}
VALIDATING = ("mof", "sbp", "pvara", "secp")
OFFICERS = 3
THRESHOLD = 2
POWER = 10
NODE_PORT = 26600  # of the first node; below the ports that the kernel hands out by itself
RPC_PORT = 28600
ADDRESS_ATTEMPTS = 64
# On one machine messages take no time: a dead proposer is given up sooner than the defaults for a country do.
FIRST_VALUES = Parameters()
LOCAL_PARAMETERS: Mapping[str, Value] = {"propose_ms": 400, "prevote_ms": 100, "precommit_ms": 100}
MANIFEST = "devnet.json"
_SOCKET_NAME = "node.sock"


class DevnetError(Exception):
    """A local network that cannot be made, found or run, and why."""


@dataclass(frozen=True, slots=True)
class Started:
    """A process of a node: its number and the moment of its start (`devnet.proc`) until its supervisor has
    seen its end; then the code with which it ended, if nobody had stopped it."""

    pid: int | None = None
    started: int | None = None
    ended: int | None = None


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """One node of the network: its folder, its addresses, and its processes while they run."""

    name: str
    institution: str
    directory: str
    address: str
    rpc: str
    socket: str
    node_run: Started = Started()
    gateway_run: Started = Started()

    @property
    def runs(self) -> Mapping[str, Started]:
        """By the kind of process, as their logs are called."""
        return {"node": self.node_run, "gateway": self.gateway_run}

    @property
    def heal_request(self) -> Path:
        """The file whose presence asks the network's supervisor to start what is dead of this node."""
        return Path(self.directory) / "heal"

    @property
    def node_toml(self) -> Path:
        return Path(self.directory) / "node.toml"

    @property
    def gateway_toml(self) -> Path:
        return Path(self.directory) / "gateway.toml"


@dataclass(frozen=True, slots=True)
class Network:
    """What devnet.json says. `officers` maps each institution to its officers' keystores, in order."""

    chain: str
    genesis_hash: str
    directory: str
    genesis: str
    passphrase_file: str
    pid: int | None
    nodes: tuple[NodeFiles, ...]
    officers: dict[str, tuple[str, ...]]

    def node(self, name: str) -> NodeFiles:
        """The node called `name`. Raises DevnetError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise DevnetError(f"no node {name!r}: there are {', '.join(node.name for node in self.nodes)}")

    def passphrase(self) -> bytes:
        """What opens every keystore of this network."""
        return read_passphrase(Path(self.passphrase_file), {})

    def new_keystore(self, name: str) -> Path:
        """A further key of this network, such as a VASP's: `D/keystores/NAME.pem`."""
        path = Path(self.directory) / "keystores" / f"{name}.pem"
        new_key(path, self.passphrase())
        pin_chain(path, bytes.fromhex(self.genesis_hash))
        return path


def create_network(
    directory: Path,
    validators: int = 4,
    parameters: Mapping[str, Value] | None = None,
    now: datetime | None = None,
) -> Network:
    """Write every file of a network of class development into `directory`, which is empty or absent.

    Validators go round mof, sbp, pvara and secp, whose first nodes bear their names; fmu has officers only.
    """
    if not 1 <= validators <= DEVNET_VALIDATORS_MAX:
        raise DevnetError(f"validators: {validators} is not from 1 to {DEVNET_VALIDATORS_MAX}")
    directory = directory.absolute()
    if directory.exists() and any(directory.iterdir()):
        raise DevnetError(f"{directory}: is not empty")
    moment = now or datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrase_file = directory / "passphrase"
    write_private(passphrase_file, secrets.token_hex(16).encode() + b"\n")
    passphrase = read_passphrase(passphrase_file, {})

    officers = {
        name: tuple(directory / "keystores" / f"{name}-{number}.pem" for number in range(1, OFFICERS + 1))
        for name in TITLES
    }
    officer_keys = {
        name: tuple(new_key(path, passphrase) for path in paths) for name, paths in officers.items()
    }
    authorities = {name: create_authority(CHAIN, name, moment) for name in TITLES}
    for name, authority in authorities.items():
        folder = directory / "authorities"
        save_certificate(authority, folder / f"{name}.crt", folder / f"{name}.pem", passphrase)
    names = [VALIDATING[i % 4] if i < 4 else f"{VALIDATING[i % 4]}-{i // 4 + 1}" for i in range(validators)]
    nodes = _place_nodes(directory, names)
    node_keys = {node.name: new_key(Path(node.directory) / "key.pem", passphrase) for node in nodes}
    genesis = _genesis_of(moment, officer_keys, authorities, nodes, node_keys, parameters or {})
    genesis_file = directory / "genesis.toml"
    genesis_file.write_text(genesis_to_toml(genesis), encoding="utf-8")
    genesis = load_genesis(genesis_file)  # raises ConfigError if the parameters are wrong
    for path in itertools.chain.from_iterable(officers.values()):
        pin_chain(path, genesis_hash(genesis))
    for node in nodes:
        _write_node(node, nodes, authorities[node.institution], passphrase, moment)
    network = Network(
        chain=CHAIN,
        genesis_hash=genesis_hash(genesis).hex(),
        directory=str(directory),
        genesis=str(genesis_file),
        passphrase_file=str(passphrase_file),
        pid=None,
        nodes=nodes,
        officers={name: tuple(str(path) for path in paths) for name, paths in officers.items()},
    )
    save_network(network)
    return network


def load_network(directory: Path) -> Network:
    """The network that `create_network` left in `directory`. Raises DevnetError if there is none."""
    path = directory / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _network(values)
    except OSError as error:
        raise DevnetError(f"{path}: {error.strerror}: there is no network here") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DevnetError(f"{path}: is not the description of a network: {error}") from error


def save_network(network: Network) -> None:
    """Write devnet.json whole, so that a reader never sees half of it."""
    path = Path(network.directory) / MANIFEST
    written = path.with_suffix(".json.new")
    written.write_text(json.dumps(asdict(network), indent=2) + "\n", encoding="utf-8")
    os.replace(written, path)


def remove_network(directory: Path) -> None:
    """Delete what is in a network's folder, and its sockets. Raises DevnetError if there is no network."""
    if not directory.exists() or not any(directory.iterdir()):
        return
    network = load_network(directory)
    for node in network.nodes:
        folder = Path(node.socket).parent
        if folder.name.startswith("mohur-") and folder.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(folder, ignore_errors=True)
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def with_runs(network: Network, pid: int | None, runs: Mapping[str, tuple[Started, Started]]) -> Network:
    """Returns `network` as it runs: the process that supervises it, and (node, gateway) processes by node."""
    return replace(
        network,
        pid=pid,
        nodes=tuple(
            replace(node, node_run=runs[node.name][0], gateway_run=runs[node.name][1])
            for node in network.nodes
        ),
    )


def _network(values: dict[str, Any]) -> Network:
    return Network(
        **{
            **values,
            "nodes": tuple(_node(node) for node in values["nodes"]),
            "officers": {name: tuple(paths) for name, paths in values["officers"].items()},
        }
    )


def _node(values: dict[str, Any]) -> NodeFiles:
    runs = {name: Started(**values[name]) for name in ("node_run", "gateway_run")}
    return NodeFiles(**{**values, **runs})


def _genesis_of(
    moment: datetime,
    officer_keys: Mapping[str, tuple[bytes, ...]],
    authorities: Mapping[str, Issued],
    nodes: Sequence[NodeFiles],
    node_keys: Mapping[str, bytes],
    parameters: Mapping[str, Value],
) -> Genesis:
    return Genesis(
        version=newest(),
        chain=CHAIN,
        chain_class=DEVELOPMENT,
        time_ms=(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1),
        institutions=tuple(
            GenesisInstitution(
                name=name,
                title=title,
                voting=name in VALIDATING,
                threshold=THRESHOLD,
                officers=officer_keys[name],
                ca_root=authorities[name].der,
            )
            for name, title in TITLES.items()
        ),
        nodes=tuple(
            GenesisNode(node.name, node.institution, node_keys[node.name], POWER, VALIDATOR) for node in nodes
        ),
        policies=default_policies(newest()),
        parameters=tuple({**LOCAL_PARAMETERS, **_least(nodes), **parameters}.items()),
        treasury=TREASURY,
    )


def _least(nodes: Sequence[NodeFiles]) -> Mapping[str, Value]:
    """What so few or so placed nodes can be asked to survive, where that is less than it would be."""
    given = strength((node.institution, POWER) for node in nodes)
    return {
        parameter: getattr(given, field)
        for field, parameter in LEAST.items()
        if getattr(given, field) < getattr(FIRST_VALUES, parameter)
    }


def _place_nodes(directory: Path, names: Sequence[str]) -> tuple[NodeFiles, ...]:
    host = _free_host(len(names))
    longest = max(len(str(directory / name / _SOCKET_NAME).encode()) for name in names)
    sockets = None if longest <= SOCKET_PATH_BYTES_MAX else Path(tempfile.mkdtemp(prefix="mohur-"))
    return tuple(
        NodeFiles(
            name=name,
            institution=name.partition("-")[0],
            directory=str(directory / name),
            address=f"{host}:{NODE_PORT + position}",
            rpc=f"http://{host}:{RPC_PORT + position}",
            socket=str(sockets / f"{name}.sock" if sockets else directory / name / _SOCKET_NAME),
        )
        for position, name in enumerate(names)
    )


def _free_host(nodes: int) -> str:
    """A loopback address drawn at random on which none of the network's ports is in use."""
    for _ in range(ADDRESS_ATTEMPTS):
        host = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
        if all(
            _is_free(host, first + position) for first in (NODE_PORT, RPC_PORT) for position in range(nodes)
        ):
            return host
    raise DevnetError(f"no free loopback address in {ADDRESS_ATTEMPTS} attempts")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _write_node(
    node: NodeFiles, nodes: Sequence[NodeFiles], authority: Issued, passphrase: bytes, now: datetime
) -> None:
    directory = Path(node.directory)
    certificate = issue_node(authority, Identity(CHAIN, node.institution, node.name), now)
    save_certificate(certificate, directory / "tls.crt", directory / "tls.pem", passphrase)
    log = LogSettings(format="json")
    settings = NodeSettings(
        name=node.name,
        institution=node.institution,
        genesis=Path("../genesis.toml"),
        data_dir=Path("."),
        listen=node.address,
        socket=_relative(node),
        certificate=Path("tls.crt"),
        certificate_key=Path("tls.pem"),
        key=Path("key.pem"),
        passphrase_file=Path("../passphrase"),
        peers=tuple(
            PeerSettings(name=peer.name, institution=peer.institution, address=peer.address)
            for peer in nodes
            if peer.name != node.name
        ),
        log=log,
    )
    gateway = GatewaySettings(listen=node.rpc.removeprefix("http://"), socket=_relative(node), log=log)
    node.node_toml.write_text(settings_to_toml(settings, f"Node {node.name} of a local network."))
    node.gateway_toml.write_text(settings_to_toml(gateway, f"Gateway beside node {node.name}."))
    signer = SignerStore(directory / "signer")
    try:
        signer.initialise(1)  # a new key has signed nothing
    finally:
        signer.close()


def _relative(node: NodeFiles) -> Path:
    path = Path(node.socket)
    return Path(path.name) if path.parent == Path(node.directory) else path
