"""What the commands that call a gateway share: its address, the wallet, and how a refusal ends a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.output import Exit, fail

if TYPE_CHECKING:
    from client.blocking import Client
    from client.errors import ClientError
    from client.journal import SentJournal
    from client.wallet import Wallet

Rpc = Annotated[
    str,
    typer.Option("--rpc", envvar="MOHUR_RPC", help="The gateway's address, such as http://127.0.0.1:8640."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the passphrase, mode 0600. Without it: MOHUR_PASSPHRASE."),
]

RETRY_S = 5.0


@contextmanager
def calling(url: str, *, as_json: bool, journal: "SentJournal | None" = None) -> "Iterator[Client]":
    """A client of the gateway; what goes wrong becomes a message and its exit code."""
    from client.blocking import Client
    from client.errors import CallRefused, ClientError, JournalError, Lapsed, Unreachable, Unsettled
    from client.rpc import PASSING_CODES
    from client.transactions import BadPayload

    try:
        with Client(url, retry_s=RETRY_S, journal=journal) as client:
            yield client
    except CallRefused as error:
        code = Exit.UNREACHABLE if error.code in PASSING_CODES else Exit.REFUSED
        about = {"field": error.field, "value": error.value, "rule": error.rule} | carried(error)
        fail(code, error.name, str(error), as_json=as_json, result_code=error.code, **about)
    except Unreachable as error:
        fail(Exit.UNREACHABLE, "unreachable", str(error), as_json=as_json, **carried(error))
    except Unsettled as error:
        unknown(error, as_json=as_json)
    except Lapsed as error:
        fail(Exit.REFUSED, "lapsed", str(error), as_json=as_json, **carried(error))
    except JournalError as error:
        fail(Exit.CONFIG, "journal", str(error), as_json=as_json)
    except BadPayload as error:
        fail(Exit.USAGE, "payload", str(error), as_json=as_json)
    except ClientError as error:
        fail(Exit.FAILED, "client", str(error), as_json=as_json)


def carried(error: "ClientError") -> dict[str, Any]:
    """The transaction that an error is about, as a program reads it."""
    return {"tx_id": error.tx_id.hex(), "raw": error.raw.hex()} if error.raw else {}


def unknown(error: "ClientError", *, as_json: bool) -> NoReturn:
    """End with the bytes that must be sent again, because what became of them is not known."""
    message = f"{error}. What became of it is not known. Resend the same bytes, sign nothing anew: "
    message += f"mohur tx resend --raw {error.raw.hex()}"
    fail(Exit.UNKNOWN, "unsettled", message, as_json=as_json, **carried(error))


def wallet_of(client: "Client", keystore: Path, passphrase: bytes, chain: bytes) -> "Wallet":
    """The wallet of a keystore for that chain, with its signer and sequence as the ledger has them."""
    from client.wallet import Wallet

    return client.align(Wallet.from_keystore(keystore, passphrase, chain))
