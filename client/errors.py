"""What can go wrong for a client: the server refuses, it cannot be reached, or a result does not come."""


class ClientError(Exception):
    """Anything this library raises about a call."""


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


class Unreachable(ClientError):
    """No answer from the server within the time for retries. Whether it heard us is not known."""


class NotCommitted(ClientError):
    """A transaction was not in a block in time. It may still be: ask again, or resend the same bytes."""


class BadReply(ClientError):
    """The server's answer is not JSON-RPC 2.0, or not of the declared schema."""


class WindowFull(ClientError):
    """As many transactions of this key are under way as the ledger's window allows."""
