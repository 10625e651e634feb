"""Every limit of `client/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# rpc
BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 1.0
CONNECTIONS_MAX = 64

# journal
JOURNAL_BYTES_MAX = 256 * 1024 * 1024
LAPSE_MS_MIN = 60_000  # of ledger time since a transaction's own is over, before it is said to be in no block

# trust
CHECKPOINT_BYTES_MAX = 64 * 1024
