"""Settlement keys: a VASP's own rotation, and the replacement of a lost key, which waits in public first.

A replacement is a row of the agenda whose subject is the new key's signer, enrolled and PENDING until then:
everybody sees it, and nobody else enrols the key. While it waits, the key in force ends it by rotating, which
proves that it is not lost. A frozen VASP cannot rotate: so a thief with the key holds up the replacement no
longer than until the VASP is frozen, and the new key moves nothing before two authorities have lifted that.
"""

from msgspec.structs import replace

from ledger import agenda
from ledger.agenda import Moment, Outcome, What
from ledger.documents import NONE
from ledger.enrolment import bring_into_force, enrol, retire
from ledger.rows import PENDING, Role
from ledger.state import State


def rotate(state: State, vasp: int, key: bytes, height: int) -> int:
    """Give the VASP another key at once; its signer. What was pending ends: the old key is not lost."""
    cancel(state, vasp, height)
    record = state.vasps[vasp]
    retire(state, record.signer)
    signer = enrol(state, key, Role.SETTLEMENT, vasp, height)
    state.vasps.replace(vasp, replace(record, signer=signer))
    return signer


def announce(state: State, vasp: int, key: bytes, height: int, due_ms: int) -> int:
    """Let the VASP's key be replaced at `due_ms`, in place of what was pending; the new key's signer."""
    cancel(state, vasp, height)
    signer = enrol(state, key, Role.SETTLEMENT, vasp, height, flags=PENDING)
    row = agenda.schedule(state, due_ms, What.KEY_REPLACEMENT, signer)
    state.vasps.replace(vasp, replace(state.vasps[vasp], replacement=row))
    return signer


def cancel(state: State, vasp: int, height: int) -> None:
    """End the pending replacement, if there is one; its key is retired, as any key that ended."""
    record = state.vasps[vasp]
    if record.replacement == NONE:
        return
    retire(state, state.agenda.field(record.replacement, "subject"))
    agenda.cancel(state, record.replacement, height)
    state.vasps.replace(vasp, replace(record, replacement=NONE))


def take_effect(state: State, moment: Moment, signer: int, detail: int) -> Outcome:
    """The waiting time is over, and nobody has objected: the new key is the VASP's."""
    vasp = int(state.signers.field(signer, "owner"))
    record = state.vasps[vasp]
    retire(state, record.signer)
    bring_into_force(state, signer)
    state.vasps.replace(vasp, replace(record, signer=signer, replacement=NONE))
    return agenda.DONE
