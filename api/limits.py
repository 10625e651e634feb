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
STATEMENT_ROWS_MAX = 8_388_608  # postings that are read for one page of statements
PAGE_BYTES_MAX = 4 * 1024 * 1024  # of payloads in a page of proposals
BYTES_PAGE_MAX = 4 * 1024 * 1024  # of raw blocks and certificates in a page; a larger block goes alone
SUBMIT_MANY_MAX = 4096
WAIT_MS_MAX = 60_000
