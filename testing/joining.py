"""One more node for a local network that exists: the files that its operator would make, none of the others'.

The registry has to learn of it: by the genesis, before the network first runs, or by an act of institutions.
A node dials those that stand behind it in the alphabet, so a newcomer whose name is the first needs no change
of anyone's settings.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from config.keys import new_key
from config.pki import Identity, issue_node, load_authority, save_certificate
from config.settings import (
    GatewaySettings,
    PeerSettings,
    load_node_settings,
    settings_to_toml,
    split_address,
)
from devnet.network import CHAIN, Network, NodeFiles, save_network
from storage.signer import SignerStore


def add_node(network: Network, name: str, institution: str, *, validates: bool) -> tuple[Network, bytes]:
    """The network with a node more, and the public key of the newcomer, b"" for one that only observes."""
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
    folder = Path(network.directory) / "authorities"
    authority = load_authority(folder / f"{institution}.crt", folder / f"{institution}.pem", passphrase)
    certificate = issue_node(authority, Identity(CHAIN, institution, name), datetime.now(UTC))
    save_certificate(certificate, directory / "tls.crt", directory / "tls.pem", passphrase)
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


def _apart(node: NodeFiles) -> bool:
    """Whether the sockets of the network lie in a folder of their own, because paths would be too long."""
    return Path(node.socket).parent != Path(node.directory)
