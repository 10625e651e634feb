"""Reads of proposals: governed acts on their way, with every signature under them."""

from collections.abc import Iterable
from typing import TypeVar

from api.declare import read
from api.fields import (
    PAGE_DEFAULT,
    Blob,
    Cursor,
    Height,
    Index,
    Limit,
    Milliseconds,
    Name,
    PayloadBytes,
    Shown,
)
from api.limits import PAGE_BYTES_MAX
from api.outlook import OutlookView, outlook
from api.refusals import Declined
from api.showing import shown
from api.sources import View
from ledger.codes import Code
from ledger.documents import Approval, Proposal, ProposalStatus
from ledger.limits import PAYLOAD_BYTES_MAX
from ledger.state import StateView
from ledger.versions import rules
from ledger.words import words
from primitives.codec import CodecError, unpack

CONFIDENTIAL_ACTS = frozenset({"freeze", "lift"})  # which authority acted is not served


class SignatureView(Shown, frozen=True):
    """One officer's signature: signer, institution, block, time and reason code. Under a freeze or a lift,
    `officer` and `institution` are None: which authority acted is not served."""

    officer: Index | None
    institution: str | None
    block: Height
    time_ms: Milliseconds
    reason: int


class ProposalView(Shown, frozen=True):
    """A proposal; `payload` is the encoding of the act's payload. `code`, `name`, `field`, `value` and
    `rule` say why a FAILED one had no effect; `created` are the records an EXECUTED one made. `outlook` is
    what an OPEN one would leave of the network, if that depends on it."""

    proposal: Index
    act: str
    kind: int
    payload: Blob
    institution: str | None
    status: ProposalStatus
    created_height: Height
    created_ms: Milliseconds
    expires_ms: Milliseconds
    decided_height: Height
    decided_ms: Milliseconds
    code: int
    name: str
    field: str
    value: str
    rule: str
    created: tuple[int, ...]
    outlook: OutlookView | None
    approvals: tuple[SignatureView, ...]
    objections: tuple[SignatureView, ...]


class ProposalReply(ProposalView, frozen=True):
    """A proposal as of `height`."""

    height: Height


class ProposalListReply(Shown, frozen=True):
    """A page of proposals."""

    height: Height
    items: tuple[ProposalView, ...]
    next_cursor: Cursor | None


class ActPreviewReply(Shown, frozen=True):
    """What `act` would leave of the network; `outlook` is None if that does not depend on it."""

    height: Height
    act: str
    outlook: OutlookView | None


V = TypeVar("V", bound=ProposalView)


class ProposalReads:
    """Reads of proposals."""

    @read
    def proposal_get(view: View, proposal: Index) -> ProposalReply:
        """A governed act on its way, with every signature under it."""
        view.state.proposals.require(proposal, "proposal")
        return _proposal(ProposalReply, view, proposal, height=view.height)

    @read
    def proposal_list(
        view: View,
        status: ProposalStatus | None = None,
        cursor: Cursor = 0,
        limit: Limit = PAGE_DEFAULT,
    ) -> ProposalListReply:
        """Proposals by index, all or those of one status."""
        proposals = view.state.proposals
        items: list[ProposalView] = []
        size = 0
        next_cursor = None
        for index in range(cursor, len(proposals)):
            if status not in (None, proposals[index].status):
                continue
            size += len(proposals[index].payload)
            if len(items) == limit or (items and size > PAGE_BYTES_MAX):
                next_cursor = index
                break
            items.append(_proposal(ProposalView, view, index))
        return ProposalListReply(height=view.height, items=tuple(items), next_cursor=next_cursor)

    @read
    def act_preview(view: View, kind: Name, payload: PayloadBytes) -> ActPreviewReply:
        """What an act would leave of the network if it took effect now: ask before you sign."""
        known = rules(view.state.version).by_name.get(kind)
        if known is None:
            raise Declined(Code.NOT_FOUND, "kind", kind, "no kind has this name")
        try:
            said = unpack(payload, known.payload, PAYLOAD_BYTES_MAX)
        except CodecError as error:
            raise Declined(Code.MALFORMED, "payload", f"{len(payload)} bytes", str(error)) from error
        return ActPreviewReply(height=view.height, act=kind, outlook=outlook(view, said))


def _outlook(view: View, proposal: Proposal) -> OutlookView | None:
    """What an open proposal would leave, as the kind that it names now reads its payload."""
    kind = rules(view.state.version).kinds.get(proposal.kind)
    if proposal.status is not ProposalStatus.OPEN or kind is None:
        return None
    return outlook(view, unpack(proposal.payload, kind.payload, PAYLOAD_BYTES_MAX))


def _proposal(kind: type[V], view: View, index: int, **more: int) -> V:
    state = view.state
    proposal = state.proposals[index]
    confidential = proposal.act in CONFIDENTIAL_ACTS
    field, value, rule = words(proposal.code, proposal.field, proposal.values)
    return shown(
        kind,
        proposal,
        proposal=index,
        institution=None if confidential else state.institutions[proposal.institution].name,
        name=Code(proposal.code).word,
        field=field,
        value=value,
        rule=rule,
        outlook=_outlook(view, proposal),
        approvals=_signatures(state, proposal.approvals, confidential),
        objections=_signatures(state, proposal.objections, confidential),
        **more,
    )


def _signatures(
    state: StateView, approvals: Iterable[Approval], confidential: bool
) -> tuple[SignatureView, ...]:
    return tuple(
        shown(
            SignatureView,
            approval,
            block=approval.height,
            officer=None if confidential else approval.officer,
            institution=None if confidential else state.institutions[approval.institution].name,
        )
        for approval in approvals
    )
