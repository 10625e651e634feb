"""Every result code of the ledger, the refusal that carries one, and the error that halts a node.

Codes are protocol: numbers are grouped by hundreds, never change and are never reused.
"""

from enum import IntEnum

from ledger.fields import FIELDS, FieldName
from ledger.limits import INTEGER_MAX, INTEGER_MIN, VALUE_LENGTH_MAX


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
    KEY_RETIRED = 114
    KEY_PENDING = 115

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
    SUPERSEDED = 307
    CLAIMED = 308
    BAD_PROOF = 309
    OTHER_ACT = 310

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


Plain = int | bytes | str  # what a refusal may quote: as it stands in a transaction, in state or in a rule


class Refused(Exception):
    """A transaction, or a part of one, that the rules refuse: `values` are what was found in `field`, then
    the operands of the rule that it breaks.

    Results commit to the code, the field's number and the values, and to nothing that a runtime decides; the
    words for them are made where they are read (`ledger.words`).
    """

    def __init__(self, code: Code, field: FieldName, *values: Plain) -> None:
        self.code = code
        self.field: FieldName = field
        self.values = tuple(map(_bounded, values))
        super().__init__(f"{code.word}: {field}")

    @property
    def field_number(self) -> int:
        return FIELDS[self.field]


def _bounded(value: Plain) -> Plain:
    """`value` as results commit to it: an integer within 64 bits, and the beginning of a long text."""
    if isinstance(value, int):
        return max(INTEGER_MIN, min(int(value), INTEGER_MAX))
    return value[:VALUE_LENGTH_MAX]


class InvariantError(Exception):
    """The ledger contradicts itself. Nothing a transaction says can cause this; the node halts."""
