"""`mohur genesis`: write a first genesis file, check one, print the hash that institutions compare."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Exit, Json, fail, note, reported, show, table

if TYPE_CHECKING:
    from config.resilience import Resilience

app = typer.Typer(no_args_is_help=True, help="Check a genesis file and say what the network survives.")

File = Annotated[Path, typer.Argument(help="The genesis file (TOML).")]


@app.command("check")
def check(path: File, as_json: Json = False) -> None:
    """List every problem of a genesis file; or say what its network can lose and still go on."""
    from config.genesis_file import load_genesis
    from config.resilience import resilience
    from ledger.genesis import genesis_hash

    with reported(as_json=as_json):
        genesis = load_genesis(path)
    result = resilience(genesis)
    values = {
        "ok": True,
        "chain": genesis.chain,
        "class": genesis.chain_class,
        "genesis_hash": genesis_hash(genesis).hex(),
        **asdict(result.strength),
        "institutions": [asdict(share) for share in result.institutions],
        "voting": result.voting,
        "voting_needed": result.voting_needed,
    }
    show(values, as_json=as_json, text=lambda: _explain(genesis.chain, genesis_hash(genesis).hex(), result))


@app.command("hash")
def print_hash(path: File, as_json: Json = False) -> None:
    """Print the genesis hash: the identity of the chain, the same for every institution."""
    from config.genesis_file import load_genesis
    from ledger.genesis import genesis_hash

    with reported(as_json=as_json):
        digest = genesis_hash(load_genesis(path)).hex()
    show({"genesis_hash": digest}, as_json=as_json, text=lambda: print(digest))


@app.command("new")
def new(
    path: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    institution: Annotated[
        list[str],
        typer.Option(
            help="NAME=FOLDER, once per institution. FOLDER holds root.crt, officer-*.pub (two or more) "
            "and, if it runs a validator, key.pub. The first institution is the treasury."
        ),
    ],
    chain: Annotated[str, typer.Option(help="Name of the chain.")] = "mohur",
    development: Annotated[bool, typer.Option("--development", help="Class development.")] = False,
    as_json: Json = False,
) -> None:
    """Write a genesis file from the public halves that each institution hands in, then check it."""
    from datetime import UTC, datetime, timedelta

    from config.errors import ConfigError
    from config.genesis_file import genesis_to_toml
    from config.keys import load_public_key, write_new
    from config.pki import root_from_pem
    from ledger.genesis import Genesis, GenesisInstitution, GenesisNode, default_policies, problems
    from ledger.release import newest

    with reported(as_json=as_json):
        institutions, nodes = [], []
        for entry in institution:
            name, separator, folder_text = entry.partition("=")
            folder = Path(folder_text)
            if not separator or not folder.is_dir():
                raise ConfigError([f"--institution {entry}: must be NAME=FOLDER, and the folder must exist"])
            try:
                root = root_from_pem((folder / "root.crt").read_text(encoding="utf-8"))
            except OSError as error:
                raise ConfigError([f"{folder / 'root.crt'}: cannot be read: {error.strerror}"]) from error
            officers = tuple(load_public_key(key) for key in sorted(folder.glob("officer-*.pub")))
            votes = (folder / "key.pub").exists()
            institutions.append(GenesisInstitution(name, name, votes, 2, officers, root))
            if votes:
                nodes.append(GenesisNode(name, name, load_public_key(folder / "key.pub"), 10, "validator"))
        genesis = Genesis(
            version=newest(),
            chain=chain,
            chain_class="development" if development else "production",
            time_ms=(datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1),
            institutions=tuple(institutions),
            nodes=tuple(nodes),
            policies=default_policies(newest()),
            parameters=(),
            treasury=institutions[0].name,
        )
        write_new(path, genesis_to_toml(genesis).encode("utf-8"), 0o644)
        wrong = problems(genesis)
        if wrong:
            note(f"{path} is written; before it can be used:")
            found = [f"{path}: {problem}" for problem in wrong]
            fail(Exit.CONFIG, "config", f"{len(wrong)} problems found", as_json=as_json, problems=found)
    check(path, as_json)


def _explain(chain: str, digest: str, result: "Resilience") -> None:
    print(f"{chain}: no problems found. Genesis hash {digest}\n")
    rows = [
        (share.name, share.nodes, share.power, "yes" if share.may_fail else "NO")
        for share in result.institutions
    ]
    table(("institution", "nodes", "power", "may fail or lie as a whole"), rows)
    print()
    given = result.strength
    print(
        f"{given.validators} validators, power {given.power}; a quorum is more than two thirds of it.\n"
        f"Nodes, whichever they are, that may fail or lie: {given.losable_nodes}.\n"
        f"Whole institutions, whichever they are, that may fail or lie: {given.losable_institutions}.\n"
        f"Validators, the heaviest, that decide a block by themselves: {given.deciding_nodes}.\n"
        f"A change to the network needs {result.voting_needed} of {result.voting} voting institutions."
    )
    for name in given.could_stop:
        print(f"WARNING: {name} alone could stop this network.")
    if given.losable_nodes == 0:
        print("WARNING: this network survives no fault. To survive one takes four validators of equal power.")
