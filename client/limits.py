"""Every limit of `client/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# rpc
BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 1.0
CONNECTIONS_MAX = 64

# trust
CHECKPOINT_BYTES_MAX = 64 * 1024
