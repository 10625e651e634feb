"""Every limit of `consensus/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# early
PER_VALIDATOR_MAX = 8  # votes
EARLY_PROPOSALS_MAX = 2  # of one validator
CERTIFICATES_MAX = 4

# encoding
MESSAGE_BYTES_MAX = 32 * 1024  # a certificate of 256 validators has 18 KiB
EVIDENCE_BYTES_MAX = 1024
INPUT_BYTES_MAX = 40 * 1024

# engine
VALUES_MAX = 4  # at hand of one proposer at one height, beyond those that the height may still need

# quorum
VALIDATORS_MAX = 256
POWER_TOTAL_MAX = 2**53  # far below any overflow of another language's integers

# timing
MESSAGE_DELAY_MS_MAX = 600_000  # where the allowed delay stops growing

# votes, proposals
ROUNDS_KEPT = 32  # rounds before the current one whose first votes and proposals still count
POLKAS_MAX = 16  # of earlier rounds; older ones come again with the proposal that needs them
