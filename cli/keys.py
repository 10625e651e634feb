"""`mohur keys`: make, show and list the keystores of nodes, officers, VASPs and clients."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Exit, Json, fail, reported, show, table
from cli.pinning import GenesisOf, chain_named

if TYPE_CHECKING:
    from ledger.rows import Role

app = typer.Typer(no_args_is_help=True, help="Make, show and list private keys (encrypted PKCS#8 files).")

PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the passphrase, mode 0600. Without it: MOHUR_PASSPHRASE."),
]


PURPOSES = {"node": "INSTITUTION/NODE", "owner": "VASP/KYC, KYC being 64 hex digits"}
KYC_BYTES = 32


@app.command("new")
def new(
    path: Annotated[
        Path, typer.Argument(help="File to write, ending in .pem; the public key goes beside it.")
    ],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Draw a new Ed25519 key and write it encrypted; an existing file is never overwritten."""
    from config.keys import new_key, read_passphrase

    with reported(as_json=as_json):
        public_key = new_key(path, read_passphrase(passphrase_file, os.environ))
        show({"path": str(path), "public_key": public_key.hex()}, as_json=as_json)


@app.command("authority")
def authority(
    institution: Annotated[str, typer.Argument(help="The institution whose root this is.")],
    chain: Annotated[str, typer.Option(help="Name of the chain.")],
    directory: Annotated[Path, typer.Option("--dir", help="Folder for root.crt and root.pem.")] = Path("."),
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Create an institution's own root: root.crt goes into the genesis, root.pem is kept offline."""
    from datetime import UTC, datetime

    from config.keys import read_passphrase
    from config.pki import create_authority, save_certificate

    with reported(as_json=as_json):
        passphrase = read_passphrase(passphrase_file, os.environ)
        root = create_authority(chain, institution, datetime.now(UTC))
        save_certificate(root, directory / "root.crt", directory / "root.pem", passphrase)
        show(
            {"certificate": str(directory / "root.crt"), "key": str(directory / "root.pem")}, as_json=as_json
        )


@app.command("certificate")
def certificate(
    node: Annotated[str, typer.Argument(help="The node's name, as in the genesis.")],
    institution: Annotated[str, typer.Option(help="The institution that runs it.")],
    chain: Annotated[str, typer.Option(help="Name of the chain.")],
    authority_dir: Annotated[Path, typer.Option(help="Folder with root.crt and root.pem.")] = Path("."),
    directory: Annotated[Path, typer.Option("--dir", help="Folder for tls.crt and tls.pem.")] = Path("."),
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Issue a node's TLS certificate under its institution's authority."""
    from datetime import UTC, datetime

    from config.keys import read_passphrase
    from config.pki import Identity, issue_node, load_authority, save_certificate

    with reported(as_json=as_json):
        passphrase = read_passphrase(passphrase_file, os.environ)
        root = load_authority(authority_dir / "root.crt", authority_dir / "root.pem", passphrase)
        identity = Identity(chain, institution, node)
        issued = issue_node(root, identity, datetime.now(UTC))
        save_certificate(issued, directory / "tls.crt", directory / "tls.pem", passphrase)
        show({"certificate": str(directory / "tls.crt"), "names": identity.uri}, as_json=as_json)


@app.command("pin")
def pin(
    path: Annotated[list[Path], typer.Argument(help="Key files (.pem).")],
    genesis: GenesisOf,
    as_json: Json = False,
) -> None:
    """Let keys sign for one chain and no other from now on: the genesis hash is kept beside each."""
    from config.keys import pin_chain

    with reported(as_json=as_json):
        chain = chain_named(genesis, as_json=as_json)
        for each in path:
            pin_chain(each, chain)
    show({"genesis_hash": chain.hex(), "keys": [str(each) for each in path]}, as_json=as_json)


@app.command("prove")
def prove(
    path: Annotated[Path, typer.Argument(help="The key file (.pem) of the key that is to be enrolled.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the chain.")],
    officer: Annotated[str, typer.Option(help="INSTITUTION of which it is an officer's key.")] = "",
    node: Annotated[str, typer.Option(help="INSTITUTION/NODE whose consensus key it is.")] = "",
    vasp: Annotated[str, typer.Option(help="VASP whose settlement key it is.")] = "",
    owner: Annotated[str, typer.Option(help="VASP/KYC: of a self-custody client, KYC in hex.")] = "",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Sign a key's own enrolment, for the one purpose named. The ledger enrols no key without this proof."""
    from config.genesis_file import load_genesis
    from config.keys import load_key, read_passphrase, require_pin
    from ledger.enrolment import proof_input
    from ledger.genesis import genesis_hash
    from primitives.signatures import public_key_of, sign

    role, about = _purpose(officer, node, vasp, owner, as_json)
    with reported(as_json=as_json):
        digest = genesis_hash(load_genesis(genesis))
        require_pin(path, digest)
        private_key = load_key(path, read_passphrase(passphrase_file, os.environ))
        public_key = public_key_of(private_key)
        proof = sign(private_key, proof_input(digest, role, about, public_key))
        show({"public_key": public_key.hex(), "proof": proof.hex()}, as_json=as_json)


def _purpose(
    officer: str, node: str, vasp: str, owner: str, as_json: bool
) -> "tuple[Role, tuple[str | bytes, ...]]":
    """What a key is to be enrolled for, from the one option given."""
    from ledger.rows import Role

    options = {"officer": officer, "node": node, "vasp": vasp, "owner": owner}
    given = [(name, text) for name, text in options.items() if text]
    if len(given) != 1:
        fail(Exit.USAGE, "purpose", "give one of --officer, --node, --vasp, --owner", as_json=as_json)
    name, text = given[0]
    if name == "officer":
        return Role.OFFICER, (text,)
    if name == "vasp":
        return Role.SETTLEMENT, (text,)
    first, _, second = text.partition("/")
    if name == "node" and first and second:
        return Role.NODE, (first, second)
    try:
        kyc = bytes.fromhex(second)
    except ValueError:
        kyc = b""
    if name == "node" or not first or len(kyc) != KYC_BYTES:
        fail(Exit.USAGE, "purpose", f"--{name} {text}: must be {PURPOSES[name]}", as_json=as_json)
    return Role.OWNER, (first, kyc)


@app.command("show")
def show_key(
    path: Annotated[Path, typer.Argument(help="A key file (.pem) or its public half (.pub).")],
    check: Annotated[
        bool, typer.Option("--check", help="Also open the private key, and compare it with the public one.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Print the public key; no passphrase is needed unless --check is given."""
    from config.keys import load_key, load_public_key, read_passphrase
    from primitives.signatures import public_key_of

    with reported(as_json=as_json):
        public_key = load_public_key(path)
        values: dict[str, object] = {"path": str(path), "public_key": public_key.hex()}
        if check:
            private_key = load_key(path.with_suffix(".pem"), read_passphrase(passphrase_file, os.environ))
            if public_key_of(private_key) != public_key:
                message = f"{path}: the public key beside the private one is another's"
                fail(Exit.CONFIG, "key", message, as_json=as_json)
            values["private_key"] = "opens and matches"
        show(values, as_json=as_json)


@app.command("list")
def list_keys(
    directory: Annotated[Path, typer.Argument(help="Folder to look in, with its subfolders.")] = Path("."),
    as_json: Json = False,
) -> None:
    """List every key below a folder, with its public key."""
    from config.keys import load_public_key, public_path

    with reported(as_json=as_json):
        if not directory.is_dir():
            fail(Exit.CONFIG, "key", f"{directory}: is not a folder", as_json=as_json)
        keys = [
            {"path": str(path), "public_key": load_public_key(path).hex()}
            for path in sorted(directory.rglob("*.pem"))
            if public_path(path).exists()
        ]
        rows = [(key["path"], key["public_key"]) for key in keys]
        show({"keys": keys}, as_json=as_json, text=lambda: table(("file", "public key"), rows))
