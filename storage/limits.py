"""Every limit of `storage/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# blocks
RESULTS_BYTES_MAX = 64 * 1024 * 1024
PIECE_ROWS = 1024  # postings, or events, that are stored under one key

# environment
READERS_MAX = 254
TABLES_MAX = 8
ROOM_BYTES_MIN = 16 * 1024 * 1024  # free, below which an error of input and output is a full disk

# index
SEGMENT_ROWS = 262_144  # postings and events after which a segment is full
SEGMENT_HEIGHTS = 1_024  # or heights, if they have less
INDEX_VALUES_MAX = 256  # of at most 58 KB, that one page of reads remembers

# signer
SIGN_BYTES_MAX = 4096

# state
META_BYTES_MAX = 64 * 1024 * 1024  # 100,000 changes of a set of ten validators take 45 MB
