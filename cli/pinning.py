"""For which chain a key signs: what stands beside it, or is given; never what a gateway says of itself."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Exit, fail, note

if TYPE_CHECKING:
    from client.blocking import Client

GenesisOf = Annotated[
    str, typer.Option("--genesis", help="The chain to sign for: its genesis file, or the hash of it in hex.")
]
Pin = Annotated[
    bool,
    typer.Option("--pin", help="Let each key that has none yet sign for this chain, and for no other after."),
]


def chain_named(text: str, *, as_json: bool) -> bytes:
    """The genesis hash that an option gives, in hex or by its file. Raises ConfigError."""
    from config.genesis_file import load_genesis
    from ledger.genesis import genesis_hash
    from primitives.hashing import HASH_BYTES

    if len(text) == 2 * HASH_BYTES and not Path(text).exists():
        try:
            return bytes.fromhex(text)
        except ValueError:
            fail(Exit.USAGE, "genesis", f"--genesis: {text}: is no file, and no hash", as_json=as_json)
    return genesis_hash(load_genesis(Path(text)))


def chain_signed_for(
    client: "Client", rpc: str, keystores: Sequence[Path], genesis: str, pin: bool, *, as_json: bool
) -> bytes:
    """The genesis hash for which the keys sign, known from beside them or from the option, the same that the
    gateway names; anything else ends the command, before a passphrase is asked."""
    from config.keys import load_pin, pin_chain

    given = chain_named(genesis, as_json=as_json) if genesis else None
    status = client.chain_status()
    named = status.genesis_hash
    pins = [(keystore, load_pin(keystore)) for keystore in keystores]
    for place, expected in [("--genesis", given), *((str(path), pinned) for path, pinned in pins)]:
        if expected is not None and expected != named:
            message = (
                f"{place} is of the chain with genesis {expected.hex()},"
                f" and {rpc} serves {named.hex()}: nothing is signed"
            )
            fail(Exit.REFUSED, "wrong_chain", message, as_json=as_json)
    note(f"signs for the chain with genesis {named.hex()}, which {rpc} calls {status.chain}")
    unpinned = [path for path, pinned in pins if pinned is None]
    if unpinned and given is None and not pin:
        names = ", ".join(map(str, unpinned))
        if sys.stdin is None or not sys.stdin.isatty():
            message = (
                f"{names}: is pinned to no chain yet: give --genesis with your own genesis file or its hash,"
                " or --pin if the hash above is the one that the institutions compared"
            )
            fail(Exit.CONFIG, "not_pinned", message, as_json=as_json)
        typer.confirm(f"{names}: sign for this chain, and from now on for no other?", abort=True, err=True)
        pin = True
    for path in unpinned if pin else ():
        pin_chain(path, named)
    return named
