"""The types of which payloads are made: integers, hashes, keys and texts with their bounds."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ledger.limits import AMOUNT_MAX, INDEX_MAX, TIME_MS_MAX

U8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Index = Annotated[int, Meta(ge=0, le=INDEX_MAX)]
Sequence = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Seconds = U32
TimeMs = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Hash32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
PublicKeyOrNone = Annotated[bytes, Meta(max_length=32)]  # empty: none; its length is checked with the key
Proof = Annotated[bytes, Meta(min_length=64, max_length=64)]  # a key's own signature (ledger.enrolment)
ProofOrNone = Annotated[bytes, Meta(max_length=64)]  # empty: no key is enrolled
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=256)]
Jurisdiction = Annotated[int, Meta(ge=0, le=999)]  # ISO 3166-1 numeric


class Payload(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What every kind's payload shares: its fields stand in the transaction's body, one after another."""
