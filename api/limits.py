"""Every limit of `api/` in one table: sizes in bytes, times in the unit of the name, else counts."""

# requests
REQUEST_BYTES_MAX = 8 * 1024 * 1024  # a request that submits many transactions
RESPONSE_BYTES_MAX = 18 * 1024 * 1024  # a page of records; one raw block of the largest size

# objects
QUOTED_CHARACTERS_MAX = 64  # of a wrong value that an error repeats

# proofs
PROOF_BYTES_MAX = 8 * 1024 * 1024
COMMIT_CERTIFICATE_BYTES_MAX = 32 * 1024
CHANGES_MAX = 1024  # changes of the validator set in one proof

# reads
ASKED_AGE_MS_MAX = 60_000  # how far the time under a signed question may be from the last block's
PAGE_MAX = 1000
UNSEEN_BLOCKS = 100  # without a vote of a validator, after which that is said
STATEMENT_ROWS_MAX = 4_194_304  # postings that are read for one page of statements, before it ends early
STATEMENT_HOLDINGS_MAX = 2_048  # holdings that are looked at for one page of statements
PARTS_KEPT_MAX = 64  # parts of a segment, each of thousands of postings, that one page remembers
TAIL_ROWS_MAX = 4_194_304  # postings after the end of the index, where a node makes it only now
TAIL_HEIGHTS_MAX = 16_384  # and heights
PAGE_BYTES_MAX = 4 * 1024 * 1024  # of payloads in a page of proposals
BYTES_PAGE_MAX = 4 * 1024 * 1024  # of raw blocks and certificates in a page; a larger block goes alone
SUBMIT_MANY_MAX = 4096
WAIT_MS_MAX = 60_000
