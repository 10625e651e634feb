"""The types of what is asked and told: integers, hashes and texts with their bounds, and their JSON forms.

Times are integer milliseconds; an index is a position in a table of the ledger; a list's `cursor` is the
index to start from, its `next_cursor` None at the end.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.limits import BYTES_PAGE_MAX, PAGE_MAX, WAIT_MS_MAX
from ledger.limits import PAYLOAD_BYTES_MAX, TRANSACTION_BYTES_MAX

PAGE_DEFAULT = 100
BYTES_PAGE_DEFAULT = 1024 * 1024

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Blob = Annotated[bytes, Meta(extra={"json": "base64"})]
TransactionBytes = Annotated[
    bytes, Meta(min_length=1, max_length=TRANSACTION_BYTES_MAX, extra={"json": "base64"})
]
PayloadBytes = Annotated[bytes, Meta(max_length=PAYLOAD_BYTES_MAX, extra={"json": "base64"})]
Decimal = Annotated[int, Meta(ge=0, extra={"json": "decimal"})]  # below 2**64, as msgpack integers are
Index = Annotated[int, Meta(ge=0, le=2**32 - 2)]
Cursor = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
BytesLimit = Annotated[int, Meta(ge=1, le=BYTES_PAGE_MAX)]
Position = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Height = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
WaitMs = Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Shown(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a node tells: an array of fields in declared order on its socket, an object in JSON."""
