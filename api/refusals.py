"""What a node answers when it says no: a rule of the ledger in words, or a reason of this node's own."""

from ledger.codes import Code, Refused
from ledger.words import Words, words_of


class Declined(Exception):
    """This node does not do what it is asked, though no rule of the ledger forbids it: it is full, or
    does not know, or no longer keeps. Nothing of it is ever hashed, so it is said in words at once."""

    def __init__(self, code: Code, field: str, value: object, rule: str) -> None:
        self.code = code
        self.words = Words(field, value.hex() if isinstance(value, bytes) else str(value), rule)
        super().__init__(f"{code.word}: {field} = {self.words.value}: {rule}")


def said(error: Refused | Declined) -> Words:
    """The field, the value and the rule, as a user sees them."""
    return error.words if isinstance(error, Declined) else words_of(error)
