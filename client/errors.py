"""What can go wrong for a client: the server refuses, it cannot be reached, or a result does not come.

About a transaction there are three ends, and one may never be taken for another: it was refused and nothing
happened (`CallRefused`, `TransactionRefused`, `Lapsed`); it was never sent (`Unreachable`); or what became of
it is not known (`Unsettled`): then the same bytes are sent again, for to sign anew may be to do it twice.
Whatever is raised once a transaction is signed carries it: `raw` are its bytes, `tx_id` is its id.
"""

from typing import Self

from api.reads.transactions import TransactionResult


class ClientError(Exception):
    """Anything this library raises about a call. `unanswered`: whether the call, or an earlier try of it, may
    have had its effect all the same."""

    raw: bytes = b""
    tx_id: bytes = b""
    unanswered: bool = False

    def of(self, raw: bytes, tx_id: bytes) -> Self:
        """This error, with the transaction that it is about."""
        self.raw, self.tx_id = raw, tx_id
        return self


class CallRefused(ClientError):
    """The server's answer is an error; positive codes are the ledger's, `name` is the word for each."""

    def __init__(self, code: int, name: str, field: str, value: str, rule: str) -> None:
        self.code = code
        self.name = name
        self.field = field
        self.value = value
        self.rule = rule
        about = f": {field} = {value}" if field else ""
        super().__init__(f"{name} ({code}){about}: {rule}")


class TransactionRefused(CallRefused):
    """A transaction is in a block, and its result is a refusal: it changed nothing but its sequence."""

    def __init__(self, result: TransactionResult) -> None:
        super().__init__(result.code, result.name, result.field, result.value, result.rule)
        self.result = result


class Unreachable(ClientError):
    """No answer from the server within the time for retries; `unanswered` says whether it may have heard."""


class Unsettled(ClientError):
    """A transaction was sent and what became of it is not known: a block may hold it, now or later. Resend
    the same bytes."""


class Lapsed(ClientError):
    """A transaction is in no block, and its time is over: no block may hold it. Nothing happened."""


class BadReply(ClientError):
    """The server's answer is not JSON-RPC 2.0, or not of the declared schema."""

    unanswered = True


class WindowFull(ClientError):
    """As many transactions of this key are under way as the ledger's window allows."""


class JournalError(ClientError):
    """The journal cannot be read or written; the text names the file and the line. Nothing was sent."""
