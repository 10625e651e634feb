"""The rows of the columnar tables: packed little-endian layouts, protocol byte for byte, and their tuples.

Each NamedTuple has the fields of its dtype in the same order; reserved bytes are zero.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

NO_ROW = 0xFFFFFFFF  # an index that names no record: no VASP, the end of a list
FOREVER = 0xFFFFFFFF  # a time in seconds that never comes
CUSTODIAL = 0  # Account.owner when its VASP's settlement key signs

FROZEN = 1  # a flag of accounts and holdings
CLOSED = 2  # a flag of accounts
RETIRED = 1  # a flag of signers: the key has been replaced or removed, and signs no more
PENDING = 2  # a flag of signers: the key waits to take another's place, and signs nothing yet


class AccountType(IntEnum):
    CUSTODIAL = 0  # a client of a VASP, which signs for it
    SELF_CUSTODY = 1  # a client of a VASP who signs with a key of its own
    CLIENT_MONEY = 2  # what a VASP holds for clients together
    INSTITUTION = 3  # the treasury: moved only by the institutions' acts
    POOL = 4  # a redemption pool: moved only by the ledger


class Role(IntEnum):
    """What a signer's key is for; `Signer.owner` is an index into the table that the role names."""

    OFFICER = 1  # of an institution
    SETTLEMENT = 2  # of a VASP
    OWNER = 3  # of a self-custody account
    NODE = 4  # of a node: votes and blocks, never transactions


ACCOUNT = np.dtype(
    [
        ("vasp", "<u4"),  # or NO_ROW
        ("owner", "<u4"),  # the signer's index + 1, or CUSTODIAL
        ("kyc", "V32"),  # salted commitment; never personal data
        ("kyc_until", "<u4"),  # seconds of ledger time
        ("jurisdiction", "<u2"),  # ISO 3166-1 numeric
        ("investor_class", "u1"),
        ("type", "u1"),
        ("first_holding", "<u4"),  # or NO_ROW
        ("flags", "<u4"),
        ("institution", "<u4"),  # or NO_ROW
        ("kyc_floor", "<u4"),  # seconds of ledger time before which the VASP may not let the KYC end
    ]
)
HOLDING = np.dtype(
    [
        ("account", "<u4"),
        ("instrument", "<u4"),
        ("balance", "<u8"),
        ("locked", "<u8"),
        ("next_holding", "<u4"),  # of the same account, or NO_ROW
        ("flags", "<u4"),
    ]
)
SIGNER = np.dtype(
    [
        ("public_key", "V32"),
        ("role", "u1"),
        ("number", "u1"),  # of an officer within the institution
        ("flags", "<u2"),
        ("owner", "<u4"),
        ("highest", "<u4"),  # the window's highest sequence
        ("enrolled_at", "<u4"),  # height
        ("bitmap", "<u8"),  # the window's bitmap
        ("reserved", "<u8"),
    ]
)
AGENDA = np.dtype(
    [
        ("due_ms", "<u8"),  # ledger time
        ("what", "<u2"),  # agenda.What
        ("progress", "<u2"),  # agenda.Progress
        ("subject", "<u4"),  # the index of the record it happens to
        ("detail", "<u4"),  # which of several, for what happens to a record more than once; else 0
        ("settled", "<u4"),  # the height that did or cancelled it, 0 before
    ]
)
TRANSFER_ROW = np.dtype([("from", "<u4"), ("to", "<u4"), ("amount", "<u8")])


class Account(NamedTuple):
    vasp: int
    owner: int
    kyc: bytes
    kyc_until: int
    jurisdiction: int
    investor_class: int
    type: int
    first_holding: int
    flags: int
    institution: int
    kyc_floor: int = 0


class Holding(NamedTuple):
    account: int
    instrument: int
    balance: int
    locked: int
    next_holding: int
    flags: int


class Signer(NamedTuple):
    public_key: bytes
    role: int
    number: int
    flags: int
    owner: int
    highest: int
    enrolled_at: int
    bitmap: int
    reserved: int = 0


class Due(NamedTuple):
    due_ms: int
    what: int
    progress: int
    subject: int
    detail: int
    settled: int
