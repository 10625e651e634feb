"""Every limit of `wire/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# blocks
BLOCK_BYTES_CAP = 16 * 1024 * 1024  # no block of any parameter set decodes above this
HEADER_BYTES_MAX = 1024  # of an encoded block that are neither transactions nor evidence

# frames
FRAME_BYTES_MAX = 64 * 1024

# messages
MESSAGE_TRANSACTIONS_MAX = 8192  # in one message
MESSAGE_TRANSACTIONS_BYTES_MAX = 512 * 1024  # of a batch before it is sent; one larger transaction goes alone
SYNC_BLOCKS_MAX = 64  # in one request
REASON_CHARACTERS_MAX = 256  # of a refusal between nodes; longer ones are cut
