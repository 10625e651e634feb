"""One more node for a local network that exists: the files that its operator would make, none of the others'.

The registry has to learn of it: by the genesis, before the network first runs, or by an act of institutions.
A node dials those that stand behind it in the alphabet, so a newcomer whose name is the first needs no change
of anyone's settings.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from config.keys import new_key
from config.pki import Identity, create_authority, issue_node, load_authority, save_certificate
from config.settings import (
    GatewaySettings,
    PeerSettings,
    load_node_settings,
    settings_to_toml,
    split_address,
)
from devnet.network import CHAIN, Network, NodeFiles, save_network
from storage.signer import SignerStore


def add_node(
    network: Network, name: str, institution: str, *, validates: bool, roots: Path | None = None
) -> tuple[Network, bytes]:
    """The network with a node more, and the public key of the newcomer, b"" for one that only observes.

    `roots` is a file that `mohur node roots` wrote, for a chain on which institutions have changed theirs."""
    directory = Path(network.directory) / name
    last, passphrase = network.nodes[-1], network.passphrase()
    host, port = split_address(last.address)
    rpc_port = split_address(last.rpc.removeprefix("http://"))[1]
    node = NodeFiles(
        name=name,
        institution=institution,
        directory=str(directory),
        address=f"{host}:{port + 1}",
        rpc=f"http://{host}:{rpc_port + 1}",
        socket=str(Path(last.socket).with_name(f"{name}.sock") if _apart(last) else directory / "node.sock"),
    )
    public_key = new_key(directory / "key.pem", passphrase) if validates else b""
    issue_certificate(network, node)
    peers = tuple(
        PeerSettings(name=peer.name, institution=peer.institution, address=peer.address)
        for peer in network.nodes
    )
    template = load_node_settings(last.node_toml)
    settings = template.model_copy(
        update={
            "name": name,
            "institution": institution,
            "data_dir": Path("."),
            "listen": node.address,
            "socket": Path(node.socket),
            "certificate": Path("tls.crt"),
            "certificate_key": Path("tls.pem"),
            "key": Path("key.pem") if validates else None,
            "peers": peers,
            "roots": roots,
        }
    )
    node.node_toml.write_text(settings_to_toml(settings, "A node that joins."), encoding="utf-8")
    gateway = GatewaySettings(
        listen=node.rpc.removeprefix("http://"), socket=Path(node.socket), log=template.log
    )
    node.gateway_toml.write_text(settings_to_toml(gateway, "Its gateway."), encoding="utf-8")
    if validates:
        signer = SignerStore(directory / "signer")
        signer.initialise(1)  # a new key has signed nothing
        signer.close()
    joined = replace(network, nodes=(*network.nodes, node))
    save_network(joined)
    return joined, public_key


def new_authority(network: Network, institution: str) -> bytes:
    """A new root (DER), under which this institution issues from now on; the ledger is to be told."""
    passphrase = network.passphrase()
    issued = create_authority(CHAIN, institution, datetime.now(UTC))
    certificate, key = _authority(network, institution)
    certificate.unlink()
    key.unlink()
    save_certificate(issued, certificate, key, passphrase)
    return issued.der


def issue_certificate(network: Network, node: NodeFiles) -> None:
    """Give a node a certificate under its institution's root, in the place of the one that it may have."""
    passphrase = network.passphrase()
    authority = load_authority(*_authority(network, node.institution), passphrase)
    issued = issue_node(authority, Identity(CHAIN, node.institution, node.name), datetime.now(UTC))
    certificate, key = (Path(node.directory) / name for name in ("tls.crt", "tls.pem"))
    certificate.unlink(missing_ok=True)
    key.unlink(missing_ok=True)
    save_certificate(issued, certificate, key, passphrase)


def _authority(network: Network, institution: str) -> tuple[Path, Path]:
    folder = Path(network.directory) / "authorities"
    return folder / f"{institution}.crt", folder / f"{institution}.pem"


def _apart(node: NodeFiles) -> bool:
    """Whether the sockets of the network lie in a folder of their own, because paths would be too long."""
    return Path(node.socket).parent != Path(node.directory)
