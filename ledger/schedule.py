"""When which version of the protocol is in force: the chain's own schedule, a table of its state.

A version is scheduled by a governed act, at least `upgrade_notice_blocks` ahead and one at a time, and may be
cancelled until its height. The block of that height is the first that follows it.
"""

from msgspec.structs import replace

from ledger.documents import Version, VersionStatus
from ledger.state import Readable, State


def version_at(state: Readable, height: int) -> int:
    """The version that the block of `height` follows, as `state` has the schedule."""
    for record in reversed(state.versions):
        if record.from_height <= height and record.status is not VersionStatus.CANCELLED:
            return record.version
    return state.version


def pending(state: Readable) -> int | None:
    """The index of the version that is scheduled and not yet in force, if there is one."""
    last = len(state.versions) - 1
    return last if last >= 0 and state.versions[last].status is VersionStatus.SCHEDULED else None


def schedule(state: State, version: int, from_height: int, height: int) -> int:
    """Blocks follow `version` from `from_height` on; the index of its record. The caller has checked it."""
    return state.versions.append(Version(version, from_height, VersionStatus.SCHEDULED, height))


def cancel(state: State, index: int) -> None:
    """Take a scheduled version off the schedule: it does not come into force."""
    state.versions.replace(index, replace(state.versions[index], status=VersionStatus.CANCELLED))


def due(state: Readable, height: int) -> int | None:
    """The index of the version that comes into force with the block of `height`, if one does."""
    index = pending(state)
    return index if index is not None and state.versions[index].from_height <= height else None


def replace_in_force(state: State, index: int) -> None:
    """Put the version recorded at `index` into force, in place of the one before it."""
    for place, record in enumerate(state.versions):
        if record.status is VersionStatus.IN_FORCE:
            state.versions.replace(place, replace(record, status=VersionStatus.REPLACED))
    state.versions.replace(index, replace(state.versions[index], status=VersionStatus.IN_FORCE))
