"""Reads of proposals: governed acts on their way, with every signature under them."""

from collections.abc import Iterable
from typing import TypeVar

from api.declare import read
from api.fields import PAGE_DEFAULT, Blob, Cursor, Height, Index, Limit, Milliseconds, Shown
from api.limits import PAGE_BYTES_MAX
from api.showing import shown
from api.sources import View
from ledger.codes import Code
from ledger.documents import Approval, ProposalStatus
from ledger.state import StateView
from ledger.words import words

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
    `rule` say why a FAILED one had no effect; `created` are the records an EXECUTED one made."""

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


V = TypeVar("V", bound=ProposalView)


class ProposalReads:
    """Reads of proposals."""

    @read
    def proposal_get(view: View, proposal: Index) -> ProposalReply:
        """A governed act on its way, with every signature under it."""
        view.state.proposals.require(proposal, "proposal")
        return _proposal(ProposalReply, view.state, proposal, height=view.height)

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
            items.append(_proposal(ProposalView, view.state, index))
        return ProposalListReply(height=view.height, items=tuple(items), next_cursor=next_cursor)


def _proposal(kind: type[V], state: StateView, index: int, **more: int) -> V:
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
