"""Keys: each is enrolled once, ever, by a signature of its own, and one that is retired never signs again.

The table of signers holds every key there ever was, those of nodes too, so that no key gets a second life.
The new key signs its enrolment: who reads another's key in an open proposal cannot enrol it for himself. The
keys of a genesis prove nothing: every institution reads that file, and compares its hash, before it starts.
"""

import numpy as np

from ledger.codes import Code, InvariantError, Refused
from ledger.events import EVENT, RECORD
from ledger.fields import FieldName
from ledger.rows import PENDING, RETIRED, Role, Signer
from ledger.state import NUMBERS, Readable, State
from primitives.codec import encode
from primitives.hashing import ENROL
from primitives.signatures import enrolment_fault, verify

_SIGNERS = NUMBERS["signers"]


def proof_input(genesis_hash: bytes, role: Role, about: tuple[str | bytes, ...], key: bytes) -> bytes:
    """What a new key signs. `about` says what it is for, so that the proof serves nothing else:

    OFFICER: the institution's name. NODE: the institution's and the node's. SETTLEMENT: the VASP's.
    OWNER: the VASP's, and the account's KYC commitment.
    """
    return ENROL + genesis_hash + encode([int(role), list(about), key])


def check_key(
    state: State,
    field: FieldName,
    key: bytes,
    proof: bytes,
    role: Role,
    about: tuple[str | bytes, ...],
    *where: int,
) -> None:
    """Refuse `key`, which stands in `field` (of a list: at `where`), unless it is fit, new, and has signed
    this very enrolment."""
    fault = enrolment_fault(key)
    if fault is not None:
        raise Refused(Code.BAD_KEY, field, key, *where, fault)
    if state.signers.find(key) is not None:
        raise Refused(Code.KEY_ALREADY_ENROLLED, field, key, *where)
    if not verify(key, proof_input(state.chain_record.genesis_hash, role, about, key), proof):
        raise Refused(Code.BAD_PROOF, field, key, *where)


def enrol(
    state: State, key: bytes, role: Role, owner: int, height: int, number: int = 0, flags: int = 0
) -> int:
    """Enter a key that was checked, in force unless `flags` say PENDING; the index of its signer."""
    return state.signers.append(Signer(key, role, number, flags, owner, 0, height, 0))


def bring_into_force(state: State, signer: int) -> None:
    """Let a key that was PENDING sign from here on."""
    state.signers.set_field(signer, "flags", state.signers.field(signer, "flags") & ~PENDING)


def retire(state: State, signer: int) -> None:
    """End a key: it stays enrolled, so that nobody ever enrols it again, and signs no more."""
    state.signers.set_field(signer, "flags", state.signers.field(signer, "flags") & ~PENDING | RETIRED)


def signer_of(state: Readable, key: bytes) -> int:
    """The signer of a key that is enrolled."""
    found = state.signers.find(key)
    if found is None:
        raise InvariantError(f"key {key.hex()} is not enrolled")
    return found


def check_in_use(state: Readable, signer: int) -> None:
    """Refuse a key that has been replaced or removed, and one that is not in force yet."""
    flags = state.signers.field(signer, "flags")
    if flags & RETIRED:
        raise Refused(Code.KEY_RETIRED, "signers", signer)
    if flags & PENDING:
        raise Refused(Code.KEY_PENDING, "signers", signer)


def retired_by(events: bytes) -> tuple[int, ...]:
    """The signers whose keys a block ended, by its events."""
    rows = np.frombuffer(events, EVENT)
    flags = (rows["table"] == _SIGNERS) & (rows["field"] != RECORD)
    ended = flags & (rows["new"] & RETIRED != 0) & (rows["old"] & RETIRED == 0)
    return tuple(rows["index"][ended].tolist())
