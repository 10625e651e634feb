"""`mohur node`: prepare a validator's folder once, then run it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.calls import Rpc, calling
from cli.output import Exit, Json, fail, reported, show, table

if TYPE_CHECKING:
    from config.pki import Identity

app = typer.Typer(no_args_is_help=True, help="Prepare and run a node.")

Config = Annotated[Path, typer.Option("--config", "-c", help="The node's settings (node.toml).")]


@app.command("init")
def init(
    config: Config = Path("node.toml"),
    floor: Annotated[
        int,
        typer.Option(
            min=1,
            help="The first height that this key may sign: 1 for a new key. For a key that was in use, "
            "a height above every one that it may have signed.",
        ),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Check a node's settings, keys, certificate and genesis, and allow its key to sign from a height."""
    import os

    from config.errors import ConfigError
    from config.genesis_file import load_genesis
    from config.keys import load_key, read_passphrase
    from config.pki import CertificateError, client_context
    from config.roots_file import load_roots
    from config.settings import load_node_settings
    from ledger.genesis import genesis_hash
    from primitives.signatures import public_key_of
    from storage.errors import StorageError
    from storage.signer import SignerStore

    with reported(as_json=as_json):
        settings = load_node_settings(config)
        genesis = load_genesis(settings.genesis)
        passphrase = read_passphrase(settings.passphrase_file, os.environ)
        roots: dict[str, tuple[bytes, ...]] = {
            institution.name: (institution.ca_root,) for institution in genesis.institutions
        }
        if settings.roots is not None:
            later = load_roots(settings.roots, genesis).roots
            roots = {name: (*ders, *later.get(name, ())) for name, ders in roots.items()}
        ders = [der for held in roots.values() for der in held]
        client_context(settings.certificate, settings.certificate_key, passphrase, ders)
        identity = _identity(settings.certificate, roots)
        if (identity.chain, identity.institution, identity.node) != (
            genesis.chain,
            settings.institution,
            settings.name,
        ):
            raise CertificateError(
                f"{settings.certificate}: names {identity.uri}, "
                f"but this is mohur://{genesis.chain}/{settings.institution}/{settings.name}"
            )
        values: dict[str, object] = {
            "node": settings.name,
            "chain": genesis.chain,
            "genesis_hash": genesis_hash(genesis).hex(),
            "certificate": identity.uri,
        }
        if settings.key is not None:
            public_key = public_key_of(load_key(settings.key, passphrase))
            registered = {node.name: node.public_key for node in genesis.nodes}.get(settings.name)
            if registered not in (None, public_key) and not settings.key_from_height:
                message = f"{settings.key}: is not the key that the genesis gives node {settings.name}"
                raise ConfigError([message])
            try:
                signer = SignerStore(settings.signer_dir)
                try:
                    signer.initialise(floor)
                finally:
                    signer.close()
            except StorageError as error:
                fail(Exit.FAILED, "signer", str(error), as_json=as_json)
            values |= {"public_key": public_key.hex(), "signs_from_height": floor}
        show(values, as_json=as_json)


@app.command("roots")
def roots(
    path: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    rpc: Rpc,
    as_json: Json = False,
) -> None:
    """Write down the roots of nodes' certificates, as a gateway tells them, for a node that joins now."""
    from config.keys import write_new
    from config.roots_file import LaterRoots, roots_to_toml

    with reported(as_json=as_json), calling(rpc, as_json=as_json) as client:
        listed = client.ca_root_list()
        found = {
            each.name: tuple(root.der for root in each.ca_roots if root.in_force) for each in listed.items
        }
        later = LaterRoots(listed.height, found)
        write_new(path, roots_to_toml(client.genesis_hash(), later).encode("utf-8"), 0o644)
        prints = {
            each.name: [root.sha256.hex() for root in each.ca_roots if root.in_force] for each in listed.items
        }
        rows = [(name, sha256) for name, held in prints.items() for sha256 in held]
        show(
            {"file": str(path), "height": listed.height, "sha256": prints},
            as_json=as_json,
            text=lambda: table(("institution", "sha256"), rows, title=f"{path}, at height {listed.height}"),
        )


@app.command("run")
def run(config: Config = Path("node.toml")) -> None:
    """Run a node until SIGTERM or Ctrl-C."""
    from config.settings import load_node_settings

    with reported(as_json=False):
        settings = load_node_settings(config)
        from node.app import run_node

        raise typer.Exit(run_node(settings))


def _identity(certificate: Path, roots: Mapping[str, Sequence[bytes]]) -> "Identity":
    """Whom a certificate names, and one of these roots has issued. Raises CertificateError, with the cure."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from config.pki import CertificateError, peer_identity

    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    try:
        return peer_identity(der, roots)
    except CertificateError as error:
        cure = "write down the roots of today by mohur node roots and name that file in `roots`"
        message = f"{certificate}: {error}; if institutions have changed their roots, {cure}"
        raise CertificateError(message) from error
