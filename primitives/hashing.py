"""SHA-256 under a tag, so that no hash or signature of one kind is ever one of another kind."""

from hashlib import sha256

HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)

# One table of every tag. Each ends in NUL, so no tag is a prefix of another.
TX = b"mohur/1/tx\0"
TX_FULL = b"mohur/1/txfull\0"
PREVOTE = b"mohur/1/prevote\0"
PRECOMMIT = b"mohur/1/precommit\0"
PROPOSAL = b"mohur/1/proposal\0"
HEADER = b"mohur/1/header\0"
LEAF = b"mohur/1/leaf\0"
NODE = b"mohur/1/node\0"
TABLE = b"mohur/1/table\0"
STATE = b"mohur/1/state\0"
TX_LIST = b"mohur/1/list/tx\0"
EVIDENCE_LIST = b"mohur/1/list/evidence\0"
RESULT_LIST = b"mohur/1/list/result\0"
POSTING_LIST = b"mohur/1/list/posting\0"
EVENT_LIST = b"mohur/1/list/event\0"
RESULTS = b"mohur/1/results\0"
HELLO = b"mohur/1/hello\0"
GENESIS = b"mohur/1/genesis\0"
VALIDATORS = b"mohur/1/validators\0"
PARAMS = b"mohur/1/params\0"
CHECKSUM = b"mohur/1/checksum\0"
WINDOW = b"mohur/1/window\0"
ENROL = b"mohur/1/enrol\0"
ACT = b"mohur/1/act\0"


def tagged_hash(tag: bytes, *parts: bytes) -> bytes:
    """SHA-256 over the tag and the parts, 32 bytes. Callers keep the parts' boundaries unambiguous."""
    return sha256(tag + b"".join(parts)).digest()
