"""Every limit of `devnet/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# network
DEVNET_VALIDATORS_MAX = 32

# scenario
GAP_MS_MAX = 2_000
