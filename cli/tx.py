"""`mohur tx`: build, sign and send transactions of every kind; approve proposals; look for a result."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.strict_json import strict_json
from cli.calls import PassphraseFile, Rpc, calling
from cli.output import Exit, Json, fail, note, show, table
from cli.pinning import GenesisOf, Pin
from cli.sending import JournalFile, Means, journal_of, resend_all, sign_and_send

if TYPE_CHECKING:
    from api.outlook import OutlookView
    from api.reads.proposals import ProposalReply
    from ledger.schema import Payload

app = typer.Typer(no_args_is_help=True, help="Send transactions, approve proposals, look for results.")

Keystore = Annotated[
    Path, typer.Option("--keystore", "-k", help="The signer's encrypted key file (NAME.pem).")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until a block holds it.")]
ProposalIndex = Annotated[int, typer.Argument(help="The proposal's index.")]
Reason = Annotated[int, typer.Option(help="Reason code that stays beside the signature.")]
ActHash = Annotated[
    str, typer.Option(help="Hash of the act as it was reviewed: without asking, sign that one and no other.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Sign whatever is shown, without asking.")]
TransactionId = Annotated[str, typer.Argument(help="The transaction's id, 64 hex digits.")]


@app.command("kinds")
def kinds(as_json: Json = False) -> None:
    """List every kind of transaction and the fields of its payload."""
    from ledger.kinds import BY_NAME

    listed = [
        {
            "number": kind.number,
            "name": kind.name,
            "signed_by": "/".join(sorted(role.name.lower() for role in kind.signers.roles)),
            "governed": kind.governed,
            "payload": list(kind.payload.__struct_fields__),
        }
        for kind in sorted(BY_NAME.values(), key=lambda kind: kind.number)
    ]
    columns = ("number", "kind", "signed by", "governed", "payload")
    rows = [(*list(entry.values())[:4], ", ".join(entry["payload"])) for entry in listed]  # type: ignore[arg-type]
    show({"kinds": listed}, as_json=as_json, text=lambda: table(columns, rows))


@app.command("send")
def send(
    kind: Annotated[str, typer.Argument(help="The kind of transaction; `mohur tx kinds` lists them.")],
    rpc: Rpc,
    keystore: Keystore,
    payload: Annotated[
        str,
        typer.Option("--json-payload", "-p", help="The payload as a JSON object, or @FILE that holds it."),
    ] = "{}",
    with_keystore: Annotated[
        list[Path] | None,
        typer.Option(help="A second officer's key file, for an act that both sign; repeatable."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    genesis: GenesisOf = "",
    pin: Pin = False,
    journal: JournalFile = None,
    no_wait: NoWait = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be sent, and what it would leave; open no key."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Sign a transaction, send it, and wait for its result.

    Numbers in the payload are integers, hashes and keys hex. Packed `rows` may be lists of integers:
    (from, to, amount), (securities, cash, units) or (account, instrument). Sending an act that a policy
    governs proposes it; the result's `created` names the proposal. What an act would leave of the network is
    said before a key is opened.
    """
    from api.objects import to_object
    from client.transactions import as_object, kind_named, payload_from_object
    from ledger.release import FIRST
    from primitives.codec import pack

    with calling(rpc, as_json=as_json) as client:
        definition = kind_named(kind)
        if definition.since > FIRST:  # the chain may not follow that version yet, and have an older one
            definition = kind_named(kind, client.chain_status().version)
        checked = payload_from_object(definition, _payload(payload, as_json))
        outlook = client.act_preview(kind, pack(checked)).outlook if definition.governed else None
    if dry_run:
        said = None if outlook is None else to_object(outlook)
        show({"ok": True, "kind": kind, "payload": as_object(checked), "outlook": said}, as_json=as_json)
        return
    _before_signing(outlook)
    keystores = (keystore, *(with_keystore or []))
    sign_and_send(
        Means(rpc, keystores, passphrase_file, genesis, pin, journal, no_wait, as_json), kind, checked
    )


@app.command("approve")
def approve(
    proposal: ProposalIndex,
    rpc: Rpc,
    keystore: Keystore,
    reason: Reason = 0,
    act: ActHash = "",
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    genesis: GenesisOf = "",
    pin: Pin = False,
    journal: JournalFile = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Approve a proposal as an officer; the approval that completes its policy executes it.

    Shows the act, asks, and signs what it showed. Ends with 1 if the policy was met and the act failed: the
    ledger has changed since it was proposed.
    """
    means = Means(rpc, (keystore,), passphrase_file, genesis, pin, journal, no_wait, as_json)
    _answer(means, "approve", proposal, reason, act, yes)


@app.command("reject")
def reject(
    proposal: ProposalIndex,
    rpc: Rpc,
    keystore: Keystore,
    reason: Reason = 0,
    act: ActHash = "",
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    genesis: GenesisOf = "",
    pin: Pin = False,
    journal: JournalFile = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Object to a proposal as an officer of an institution that its policy names.

    Shows the act, asks, and signs what it showed.
    """
    means = Means(rpc, (keystore,), passphrase_file, genesis, pin, journal, no_wait, as_json)
    _answer(means, "reject", proposal, reason, act, yes)


@app.command("withdraw")
def withdraw(
    proposal: ProposalIndex,
    rpc: Rpc,
    keystore: Keystore,
    reason: Reason = 0,
    act: ActHash = "",
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    genesis: GenesisOf = "",
    pin: Pin = False,
    journal: JournalFile = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Take an open proposal back, as the officer who made it.

    Shows the act, asks, and signs what it showed.
    """
    means = Means(rpc, (keystore,), passphrase_file, genesis, pin, journal, no_wait, as_json)
    _answer(means, "withdraw", proposal, reason, act, yes)


@app.command("resend")
def resend(
    rpc: Rpc,
    journal: JournalFile = None,
    raw: Annotated[str, typer.Option(help="A transaction's bytes, in hex, instead of a journal.")] = "",
    as_json: Json = False,
) -> None:
    """Send again, byte for byte, what was signed and of which it is not known what became.

    Ends with 0 if all of it is done, 4 if some of it was refused or is in no block and its time is over, and
    7 while that is not known of some of it.
    """
    if (journal is None) is not bool(raw):
        fail(Exit.USAGE, "journal", "give one of --journal, --raw", as_json=as_json)
    resend_all(rpc, journal_of(journal), None if journal else _hex(raw, as_json), as_json)


@app.command("get")
def get(tx_id: TransactionId, rpc: Rpc, as_json: Json = False) -> None:
    """Show a transaction that waits or is in a block."""
    from api.objects import to_object

    with calling(rpc, as_json=as_json) as client:
        show(to_object(client.tx_get(id_of(tx_id, as_json))), as_json=as_json)


@app.command("wait")
def wait(
    tx_id: TransactionId,
    rpc: Rpc,
    timeout: Annotated[float, typer.Option(min=0, max=60, help="Seconds.")] = 10,
    as_json: Json = False,
) -> None:
    """Wait until a block holds a transaction, then show it; exit code 7 if none does in time."""
    from api.objects import to_object

    with calling(rpc, as_json=as_json) as client:
        reply = client.tx_wait(id_of(tx_id, as_json), int(timeout * 1000))
    if reply.result is None:
        fail(Exit.UNKNOWN, "pending", f"transaction {tx_id} still waits for a block", as_json=as_json)
    show(to_object(reply), as_json=as_json)


def _answer(means: Means, kind: str, proposal: int, reason: int, act: str, yes: bool) -> None:
    """Answer a proposal: show its act, ask, and only then open the key and sign the very act shown."""
    from client.transactions import act_of, meant, payload

    with calling(means.rpc, as_json=means.as_json) as client:
        read = client.proposal_get(proposal)
        named = meant(read)
        _show_act(read, act_of(read), named["act"])
        checked = payload(kind, **named, reason=reason)
    if act and act != named["act"].hex():
        message = f"--act: {act}: proposal {proposal} is of another act, {named['act'].hex()}"
        fail(Exit.FAILED, "other_act", message, as_json=means.as_json)
    if not act and not yes:
        typer.confirm(f"{kind} this?", abort=True, err=True)
    sign_and_send(means, kind, checked)


def _show_act(proposal: "ProposalReply", act: "Payload", named: bytes) -> None:
    """A proposal in words, on standard error: what is signed is for people, whoever reads the result."""
    from api.objects import to_object

    note(f"proposal {proposal.proposal}, {proposal.status.name}: {proposal.act}")
    for name, value in to_object(act).items():
        note(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    for word, signatures in (("approved", proposal.approvals), ("objected", proposal.objections)):
        for each in signatures:
            who = f"officer {each.officer} of {each.institution}" if each.institution else "an officer"
            note(f"  {word}: {who} in block {each.block}, reason {each.reason}")
    for line in () if proposal.outlook is None else proposal.outlook.words:
        note(f"  {line}")
    note(f"  act: {named.hex()}")


def _before_signing(outlook: "OutlookView | None") -> None:
    """Say what the act would leave of the network; on a terminal, ask whether to go on."""
    if outlook is None:
        return
    for line in outlook.words:
        note(line)
    if sys.stdin.isatty():
        typer.confirm("Sign it?", abort=True, err=True)


def _payload(text: str, as_json: bool) -> Any:
    """The JSON object that the option holds or names, its batch rows as bytes in hex."""
    from client.transactions import holding_rows, transfer_rows

    try:
        data = (
            Path(text[1:]).read_bytes() if text.startswith("@") else text.encode("utf-8", "surrogateescape")
        )
        value = strict_json(data)
    except (OSError, ValueError) as error:
        fail(Exit.USAGE, "payload", f"--json-payload: {error}", as_json=as_json)
    rows = value.get("rows") if isinstance(value, dict) else None
    if isinstance(rows, list) and rows and all(_is_row(row, 3) for row in rows):
        value["rows"] = transfer_rows([tuple(row) for row in rows]).hex()
    elif isinstance(rows, list) and rows and all(_is_row(row, 2) for row in rows):
        value["rows"] = holding_rows([tuple(row) for row in rows]).hex()
    return value


def _is_row(row: Any, length: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) == length
        and all(type(item) is int and item >= 0 for item in row)
        and all(item < 2**32 for item in row[:2])
        and row[-1] < 2**64
    )


def _hex(text: str, as_json: bool) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        fail(Exit.USAGE, "raw", "--raw: must be hex digits", as_json=as_json)


def id_of(text: str, as_json: bool) -> bytes:
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        identity = b""
    if len(identity) != 32:
        fail(Exit.USAGE, "tx_id", f"tx_id: {text}: must be 64 hex digits", as_json=as_json)
    return identity
