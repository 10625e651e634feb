"""Every result code of the ledger, the refusal that carries one, and the error that halts a node.

Codes are protocol: numbers are grouped by hundreds, never change and are never reused.
"""

from enum import IntEnum

from ledger.limits import VALUE_CHARACTERS_MAX


class Code(IntEnum):
    """What became of a transaction, or of one row of a batch."""

    OK = 0

    # 1xx The envelope: what makes a transaction unfit for any block.
    MALFORMED = 100
    UNKNOWN_KIND = 101
    WRONG_CHAIN = 102
    BAD_SIGNATURE = 103
    EXPIRED = 104
    EXPIRY_TOO_FAR = 105
    SEQUENCE_USED = 106
    SEQUENCE_STALE = 107
    SEQUENCE_AHEAD = 108
    UNKNOWN_SIGNER = 109
    LIMIT_EXCEEDED = 110
    LANE_ORDER = 111
    REPEATED = 112
    UNKNOWN_VERSION = 113

    # 2xx Who may: signers, stages, policies, caps.
    NOT_AUTHORISED = 200
    STAGE_NOT_REACHED = 201
    CAP_EXCEEDED = 202
    DUPLICATE_OFFICER = 203

    # 3xx Records: whether what is named exists and stands where it must.
    NOT_FOUND = 300
    ALREADY_EXISTS = 301
    WRONG_STATUS = 302
    KEY_ALREADY_ENROLLED = 303
    BAD_KEY = 304
    BAD_IDENTIFIER = 305
    OUT_OF_RANGE = 306

    # 4xx Movement of balances.
    OVERDRAFT = 400
    FROZEN = 401
    INELIGIBLE = 402
    INSTRUMENT_MISMATCH = 403
    SAME_HOLDING = 404
    TRANSFERS_CLOSED = 405
    SUPPLY_EXCEEDED = 406

    # 5xx Issue, offer, settlement and funding.
    DVP_CASH_SHORT = 500
    OFFER_CLOSED = 501
    OFFER_EXHAUSTED = 502
    DEBIT_ALREADY_USED = 503
    FIXING_STALE = 504

    @property
    def word(self) -> str:
        """The code as integrators write it: `overdraft`, `sequence_used`."""
        return self.name.lower()


class Refused(Exception):
    """A transaction, or a part of one, that the rules refuse: `field` held `value`, `rule` says why not."""

    def __init__(self, code: Code, field: str, value: object, rule: str) -> None:
        text = value.hex() if isinstance(value, bytes) else str(value)
        if len(text) > VALUE_CHARACTERS_MAX:
            text = text[: VALUE_CHARACTERS_MAX - 3] + "..."
        self.code = code
        self.field = field
        self.value = text
        self.rule = rule
        super().__init__(f"{code.word}: {field} = {text}: {rule}")


class InvariantError(Exception):
    """The ledger contradicts itself. Nothing a transaction says can cause this; the node halts."""
