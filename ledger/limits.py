"""Every limit of `ledger/` in one table: sizes in bytes, times in the unit of the name, else counts."""

from dataclasses import dataclass

# agenda
DUE_STALE_MAX = 1_024  # keys of rows no longer pending that the index keeps, whatever its size

# codes
REFUSAL_VALUES_MAX = 8  # that a refusal quotes
VALUE_LENGTH_MAX = 256  # characters of a text, or bytes, that a refusal quotes; longer ones are cut
INTEGER_MIN = -(2**63)  # integers that a refusal quotes stay within these two
INTEGER_MAX = 2**64 - 1

# genesis
INSTITUTIONS_MAX = 64
OFFICERS_MAX = 64
NODES_MAX = 128
TITLE_CHARACTERS_MAX = 128
CA_ROOT_BYTES_MAX = 8_192
CA_ROOTS_MAX = 2  # of one institution, while they change
POWER_MAX = 2**31 - 1
TIME_MS_MAX = 2**32 * 1_000 - 1  # sequences and expiries hold seconds in 32 bits
THRESHOLD_MIN = 2  # two pairs of eyes on every power

# kinds.account_open
ACCOUNT_OPEN_ROWS_MAX = 4_096

# kinds.cash_define
CURRENCIES_MAX = 64

# kinds.dev_advance_clock
ADVANCE_MS_MAX = 20 * 366 * 86_400_000

# kinds.fixing_attest
RATE_E4_MAX = 10**12

# kinds.holding_open
HOLDING_OPEN_ROWS_MAX = 4_096
HOLDINGS_PER_ACCOUNT_MAX = 256  # that a client opens and that are not finished; the ledger may add more

# kinds.kyc_restore
KYC_RESTORE_ROWS_MAX = 128  # each is a subject of the proposal

# kinds.offer_open
OFFERS_OPEN_MAX = 256
OFFER_VASPS_MAX = 64

# kinds.instrument_issue
SECURITIES_LIVE_MAX = 4_096
JURISDICTIONS_MAX = 256
CLASSES_MAX = 256

# kinds.vasp_license
CATEGORIES_MAX = 16

# parameters
NAMES_MAX = 32  # of a parameter that is a list of names

# terms.discount
TENOR_DAYS_MAX = 3_660
UNIT_COST_MIN = 10_000  # minor units: rounding a row down by less than one is less than a basis point

# proposals
PAYLOAD_BYTES_MAX = 256 * 1024
SIGNATURES_MAX = 2 * OFFICERS_MAX  # of one institution's officers, past ones too, under one proposal
PROPOSAL_SUBJECTS_MAX = KYC_RESTORE_ROWS_MAX  # on which one rests; an update of officers has fewer
SUBJECT_BYTES_MAX = 288  # a topic, and a name of 64 characters
CREATED_MAX = OFFICERS_MAX + 1  # records that one governed act creates

# restrictions
FREEZES_OPEN_MAX = 64  # of one target by one institution: nobody uses up the room of others
CAUSES_MAX = INSTITUTIONS_MAX * FREEZES_OPEN_MAX

# schema
AMOUNT_MAX = 2**63 - 1  # of any balance, supply or amount, in the instrument's minor unit
INDEX_MAX = 2**32 - 2  # 2**32 - 1 stands for no record (rows.NO_ROW)

# settlement
TAKE_ROWS_MAX = 8_192

# tables
DOCUMENT_BYTES_MAX = 1024 * 1024
TABLES_ROWS_MAX = 2**32 - 1

# transactions
TRANSACTION_BYTES_MAX = 256 * 1024  # whatever the version of the protocol says; so is the next
SIGNERS_MAX = 16
THRESHOLD_MAX = SIGNERS_MAX  # of an institution: one transaction holds all who must sign for it

# transfers
HOLDING_REST_MS = 7 * 86_400_000  # before a finished holding is taken over: the most of expiry_horizon_s
BATCH_ROWS_MAX = 8_192

# evidence
OFFENDED_MAX = 64  # heights by which a node's record knows the evidence that was committed

# window
WINDOW = 64
SEQUENCE_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """What a block, and a transaction in it, may hold under one version of the protocol."""

    transaction_bytes: int
    signers: int
    evidence: int  # pieces in a block
    transaction_cost: int  # of every transaction, in units of `ledger.cost`
    signature_cost: int
    bytes_a_unit: int  # of a transaction


# By the first version of the protocol that has them.
BLOCK_LIMITS: dict[int, BlockLimits] = {
    1: BlockLimits(
        TRANSACTION_BYTES_MAX,
        SIGNERS_MAX,
        evidence=4,
        transaction_cost=40,
        signature_cost=45,
        bytes_a_unit=128,
    )
}


def block_limits_at(version: int) -> BlockLimits:
    """The limits that blocks of this version keep."""
    return BLOCK_LIMITS[max(first for first in BLOCK_LIMITS if first <= version)]
