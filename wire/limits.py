"""Every limit of `wire/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# blocks
BLOCK_BYTES_CAP = 16 * 1024 * 1024  # no block of any parameter set decodes above this

# frames
FRAME_BYTES_MAX = 64 * 1024

# local
REQUEST_BYTES_MAX = 8 * 1024 * 1024  # a request that submits many transactions
RESPONSE_BYTES_MAX = 16 * 1024 * 1024  # a page of records, a block's list of transactions

# messages
VALIDATORS_MAX = 256
TRANSACTIONS_MAX = 8192  # in one message
TRANSACTIONS_BYTES_MAX = 512 * 1024  # of a batch before it is sent; one larger transaction goes alone
SYNC_BLOCKS_MAX = 64  # in one request

# objects
VALUE_CHARACTERS_MAX = 64  # of a wrong value that an error repeats

# proofs
PROOF_BYTES_MAX = 8 * 1024 * 1024
CERTIFICATE_BYTES_MAX = 32 * 1024
CHANGES_MAX = 1024  # changes of the validator set in one proof

# queries
PAGE_MAX = 1000
SUBMIT_MANY_MAX = 4096
WAIT_MS_MAX = 60_000
