"""How a signed transaction leaves the command line: written down, sent, and its end told for what it is."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.calls import calling, carried, unknown, wallet_of
from cli.output import Exit, fail, note, reported, told
from cli.pinning import chain_signed_for

if TYPE_CHECKING:
    from api.reads.proposals import ProposalReply
    from api.reads.transactions import TransactionResult
    from client.blocking import Client
    from client.journal import SentEntry, SentJournal
    from client.transactions import Signed
    from ledger.schema import Payload

JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        envvar="MOHUR_JOURNAL",
        help="File in which what is signed is durable before it is sent, for `mohur tx resend`.",
    ),
]


@dataclass(frozen=True, slots=True)
class Means:
    """With what a command signs and sends."""

    rpc: str
    keystores: tuple[Path, ...]
    passphrase_file: Path | None
    genesis: str
    pin: bool
    journal: Path | None
    no_wait: bool
    as_json: bool


def sign_and_send(means: Means, kind: str, payload: "Payload") -> None:
    """Sign, send, wait for the result and show it; the exit code says whether it happened.

    While the journal holds a transaction of which nobody knows what became, nothing new is signed.
    """
    from client.errors import ClientError, TransactionRefused
    from client.wallet import sign_together
    from config.keys import read_passphrase

    as_json = means.as_json
    journal = journal_of(means.journal)
    with reported(as_json=as_json), calling(means.rpc, as_json=as_json, journal=journal) as client:
        _require_settled(journal, as_json)
        chain = chain_signed_for(
            client, means.rpc, means.keystores, means.genesis, means.pin, as_json=as_json
        )
        passphrase = read_passphrase(means.passphrase_file, os.environ)
        wallets = [wallet_of(client, keystore, passphrase, chain) for keystore in means.keystores]
        signed = sign_together(wallets, kind, payload)
        try:
            if means.no_wait:
                reply = client.hand_in(signed, wallets[0])
                values = {"ok": True, "tx_id": reply.tx_id.hex(), "duplicate": reply.duplicate}
                told(values | {"raw": signed.raw.hex()}, as_json=as_json)
                return
            result = client.send(signed, wallets[0])
        except TransactionRefused as refused:
            result = refused.result
        except (KeyboardInterrupt, MemoryError) as ended:
            unknown(ClientError(type(ended).__name__).of(signed.raw, signed.id), as_json=as_json)
        proposal = _proposal_of(client, signed, payload, result)
    _tell(signed, result, proposal, as_json)


def resend_all(rpc: str, journal: "SentJournal | None", raw: bytes | None, as_json: bool) -> None:
    """Send again what is open in the journal, or the bytes given, and show what became of each."""
    with reported(as_json=as_json), calling(rpc, as_json=as_json, journal=journal) as client:
        entries = _given(client, raw, as_json) if journal is None else journal.unsettled()
        ends = [_resend(client, entry) for entry in entries]
    values = {"transactions": [values for _, values in ends]}
    worst = next((code for code in (Exit.UNKNOWN, Exit.REFUSED) if code in dict(ends)), Exit.OK)
    if not as_json:
        for _, end in ends:
            told(end, as_json=False)
    if worst is not Exit.OK:
        count = sum(code is worst for code, _ in ends)
        known = "of them it is not known what became" if worst is Exit.UNKNOWN else "they did not happen"
        name = "unsettled" if worst is Exit.UNKNOWN else "refused"
        message = f"{count} of {len(ends)} transactions: {known}"
        fail(worst, name, message, as_json=as_json, transactions=values["transactions"])
    if as_json or not ends:
        told({"ok": True, **values}, as_json=as_json)


def journal_of(path: Path | None) -> "SentJournal | None":
    """The journal in a file, if one is named."""
    from client.journal import SentJournal

    return None if path is None else SentJournal(path)


def _require_settled(journal: "SentJournal | None", as_json: bool) -> None:
    waiting = [] if journal is None else journal.unsettled()
    if waiting and journal is not None:
        message = (
            f"{journal.path}: of {len(waiting)} transactions in it nothing says what became of them:"
            f" nothing new is signed before `mohur tx resend --journal {journal.path}`"
        )
        ids = [entry.tx_id.hex() for entry in waiting]
        fail(Exit.UNKNOWN, "unsettled", message, as_json=as_json, transactions=ids)


def _given(client: "Client", raw: bytes | None, as_json: bool) -> "list[SentEntry]":
    from client.journal import entry_of
    from ledger.codes import Refused

    try:
        return [entry_of(raw or b"", client.genesis_hash())]
    except Refused:
        fail(Exit.USAGE, "raw", "--raw: is not a transaction", as_json=as_json)


def _resend(client: "Client", entry: "SentEntry") -> tuple[Exit, dict[str, Any]]:
    from api.objects import to_object
    from client.errors import Lapsed, TransactionRefused, Unsettled

    values: dict[str, Any] = {"tx_id": entry.tx_id.hex(), "kind": entry.kind}
    try:
        return Exit.OK, values | {"became": "committed", **to_object(client.resend(entry))}
    except TransactionRefused as refused:
        return Exit.REFUSED, values | {"became": "refused", **to_object(refused.result)}
    except Lapsed as lapsed:
        return Exit.REFUSED, values | {"became": "lapsed", "rule": str(lapsed)}
    except Unsettled as unsettled:
        return Exit.UNKNOWN, values | {"became": "unknown", "rule": str(unsettled), **carried(unsettled)}


def _proposal_of(
    client: "Client", signed: "Signed", payload: "Payload", result: "TransactionResult"
) -> "ProposalReply | None":
    """The proposal that an accepted act made or signed, None for anything else; what is done is not undone by
    a gateway that does not show it."""
    from client.errors import ClientError
    from ledger.kinds import BY_NAME

    index = result.created[0] if BY_NAME[signed.kind].governed else getattr(payload, "proposal", None)
    if result.code or index is None:
        return None
    try:
        return client.proposal_get(index)
    except ClientError as error:
        note(f"mohur: {signed.kind} is in block {result.block}; proposal {index} cannot be shown: {error}")
        return None


def _tell(
    signed: "Signed", result: "TransactionResult", proposal: "ProposalReply | None", as_json: bool
) -> None:
    from api.objects import to_object
    from ledger.documents import ProposalStatus

    values = to_object(result)
    tx_id = signed.id.hex()
    if proposal is not None:
        values["proposal"] = proposal.proposal
        values["proposal_status"] = proposal.status.name.lower()
        if proposal.status is ProposalStatus.FAILED:
            why = f"{proposal.name}: {proposal.field} = {proposal.value}: {proposal.rule}"
            message = f"{proposal.act}: proposal {proposal.proposal} met its policy and failed: {why}"
            fail(Exit.FAILED, proposal.name, message, as_json=as_json, tx_id=tx_id, result=values)
    if result.code:
        why = f"{result.name}: {result.field} = {result.value}: {result.rule}"
        message = f"{signed.kind} refused in block {result.block}: {why}"
        fail(Exit.REFUSED, result.name, message, as_json=as_json, tx_id=tx_id, result=values)
    told({"ok": True, "tx_id": tx_id, "kind": signed.kind, **values}, as_json=as_json)
