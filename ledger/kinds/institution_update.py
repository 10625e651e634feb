"""The voting institutions change an institution: its title, officers, threshold, and the roots of its nodes.

So an officer comes, goes or gets another key, and an institution that has lost its quorum is restored by the
others. Whatever is done, it keeps as many officers as its threshold and a root without end, so that no policy
can be made unmeetable, and while it has nodes one of the roots that it had, so that none is cut off at once.
Who is to go cannot stay by taking another key (`officer_key_rotate`) in the meantime: a proposal removes the
officer, whatever his key is by then.
"""

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from ledger import parameters
from ledger.codes import Code, Refused
from ledger.cost import Cost, items
from ledger.documents import NONE, CaRoot, Institution, NodeRole
from ledger.enrolment import check_key, enrol, retire
from ledger.kind import Context, Kind, Lane, Signers, subject
from ledger.limits import (
    CA_ROOT_BYTES_MAX,
    CA_ROOTS_MAX,
    OFFICERS_MAX,
    THRESHOLD_MAX,
    THRESHOLD_MIN,
    TITLE_CHARACTERS_MAX,
)
from ledger.rows import Role
from ledger.schema import Index, Payload, Proof, PublicKey, TimeMs
from ledger.state import State


class NewOfficer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The key of an officer who joins, and its proof of possession."""

    key: PublicKey
    proof: Proof


class Root(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A root certificate (DER), and until when it is one; 0 means no end."""

    der: Annotated[bytes, Meta(min_length=1, max_length=CA_ROOT_BYTES_MAX)]
    until_ms: TimeMs


class InstitutionUpdate(Payload, frozen=True):
    """An empty `title`, a `threshold` of 0 and empty `ca_roots` leave these as they are. `remove` names
    signers. `ca_roots` are all that the institution shall have, one or, while they change, two."""

    institution: Index
    title: Annotated[str, Meta(max_length=TITLE_CHARACTERS_MAX)]
    threshold: Annotated[int, Meta(ge=0, le=OFFICERS_MAX)]
    remove: Annotated[tuple[Index, ...], Meta(max_length=OFFICERS_MAX)]
    add: Annotated[tuple[NewOfficer, ...], Meta(max_length=OFFICERS_MAX)]
    ca_roots: Annotated[tuple[Root, ...], Meta(max_length=CA_ROOTS_MAX)]


def check(ctx: Context, payload: InstitutionUpdate) -> None:
    state = ctx.state
    institution = state.institutions.require(payload.institution, "institution")
    _check_officers(ctx, institution, payload)
    _check_roots(ctx, payload)
    unchanged = not (payload.remove or payload.add)
    unchanged &= payload.title in ("", institution.title)
    unchanged &= payload.threshold in (0, institution.threshold)
    if unchanged and _roots(ctx, institution, payload) == institution.ca_roots:
        raise Refused(Code.WRONG_STATUS, "institution", payload.institution)


def _check_officers(ctx: Context, institution: Institution, payload: InstitutionUpdate) -> None:
    for number, signer in enumerate(payload.remove):
        if _leaving(ctx, payload.institution, signer) is None or signer in payload.remove[:number]:
            raise Refused(Code.NOT_FOUND, "remove[]", signer, number)
    keys = set()
    for number, officer in enumerate(payload.add):
        if officer.key in keys or ctx.state.signers.find(officer.key) is not None:
            raise Refused(Code.KEY_ALREADY_ENROLLED, "add[].key", officer.key, number)
        keys.add(officer.key)
    officers = len(institution.officers) - len(payload.remove) + len(payload.add)
    threshold = payload.threshold or institution.threshold
    if officers > OFFICERS_MAX:
        raise Refused(Code.LIMIT_EXCEEDED, "institution.officers", officers)
    if not payload.threshold and officers < threshold:
        raise Refused(Code.OUT_OF_RANGE, "institution.officers", officers, threshold)
    most = min(officers, THRESHOLD_MAX)
    if not THRESHOLD_MIN <= threshold <= most:
        raise Refused(Code.OUT_OF_RANGE, "threshold", threshold, most)
    for number, officer in enumerate(payload.add):  # what is dear comes last
        about = (institution.name,)
        check_key(ctx.state, "add[].key", officer.key, officer.proof, Role.OFFICER, about, number)


def _leaving(ctx: Context, index: int, signer: int) -> int | None:
    """The officer of the institution whom `remove` names by this signer, or None. A proposal names him by the
    key that he had when it was made: by now he may have another, but not another number."""
    state, officers = ctx.state, ctx.state.institutions[index].officers
    if signer in officers:
        return signer
    if ctx.proposal == NONE or signer >= len(state.signers):
        return None
    named = state.signers[signer]
    if (named.role, named.owner) != (Role.OFFICER, index):
        return None
    return next((each for each in officers if state.signers.field(each, "number") == named.number), None)


def _check_roots(ctx: Context, payload: InstitutionUpdate) -> None:
    others = {
        root.der
        for index, institution in enumerate(ctx.state.institutions)
        if index != payload.institution
        for root in institution.ca_roots
    }
    for number, root in enumerate(payload.ca_roots):
        if root.der in others or any(root.der == earlier.der for earlier in payload.ca_roots[:number]):
            raise Refused(Code.ALREADY_EXISTS, "ca_roots[]", sha256(root.der).digest(), number)
        if root.until_ms and root.until_ms <= ctx.time_ms:
            raise Refused(Code.OUT_OF_RANGE, "ca_roots[].until_ms", root.until_ms, number, ctx.time_ms)
    if not payload.ca_roots:
        return
    if all(root.until_ms for root in payload.ca_roots):
        raise Refused(Code.OUT_OF_RANGE, "ca_roots", len(payload.ca_roots))
    present = {root.der for root in ctx.state.institutions[payload.institution].ca_roots}
    staying = [root.until_ms for root in payload.ca_roots if root.der in present]
    overlap_s = parameters.number(ctx.state, "ca_root_overlap_s")
    lasting = any(not until or until >= ctx.time_ms + overlap_s * 1_000 for until in staying)
    if not lasting and _has_nodes(ctx.state, payload.institution):
        raise Refused(Code.OUT_OF_RANGE, "ca_roots", len(payload.ca_roots), overlap_s)


def _has_nodes(state: State, institution: int) -> bool:
    return any(node.institution == institution and node.role is not NodeRole.RETIRED for node in state.nodes)


def apply(ctx: Context, payload: InstitutionUpdate) -> tuple[int, ...]:
    state = ctx.state
    institution = state.institutions[payload.institution]
    leaving = [_leaving(ctx, payload.institution, signer) for signer in payload.remove]
    staying = [signer for signer in institution.officers if signer not in leaving]
    for signer in leaving:
        if signer is not None:
            retire(state, signer)
    numbers = {int(state.signers.field(signer, "number")) for signer in staying}
    added = []
    for officer in payload.add:
        number = next(free for free in range(OFFICERS_MAX) if free not in numbers)
        numbers.add(number)
        added.append(enrol(state, officer.key, Role.OFFICER, payload.institution, ctx.height, number))
    state.institutions.replace(
        payload.institution,
        replace(
            institution,
            title=payload.title or institution.title,
            threshold=payload.threshold or institution.threshold,
            officers=(*staying, *added),
            ca_roots=_roots(ctx, institution, payload),
        ),
    )
    return (payload.institution, *added)


def _roots(ctx: Context, institution: Institution, payload: InstitutionUpdate) -> tuple[CaRoot, ...]:
    """The roots as they would be: one that stays keeps the time since when it is one."""
    since = {root.der: root.from_ms for root in institution.ca_roots}
    wanted = tuple(
        CaRoot(root.der, since.get(root.der, ctx.time_ms), root.until_ms) for root in payload.ca_roots
    )
    return wanted or institution.ca_roots


KIND = Kind(
    84,
    "institution_update",
    Lane.ACTS,
    Signers.OFFICERS,
    InstitutionUpdate,
    check,
    apply,
    Cost(500, (items(250, "add"), items(200, "remove"), items(200, "ca_roots"))),
    governed=True,
    rests_on=subject("institution", "institution"),
    claims=lambda state, payload: tuple(("key", officer.key) for officer in payload.add),
)
