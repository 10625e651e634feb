"""Governed acts: proposed, approved by as many institutions as the policy asks for, then executed at once.

A proposal is OPEN, then EXECUTED in the block that completes its policy, FAILED (policy met, effect
refused: the refusal is kept), REJECTED, WITHDRAWN or EXPIRED. An officer signs a proposal once: its maker
counts once and is never his own second.

Approvals are for what their proposal rests on. When an act takes effect it moves its subjects, and so does
what time does (`ledger.due`): the open proposals that rest on one of them close as FAILED in the same block,
so that none is ever approved for one thing and executed on another. An approval only ever completes its
proposal and an objection only ever closes it: a change of an institution, by which it would be decided
without either, closes it. What an open proposal claims - a name, a code, a key - no other institution's
proposal takes, and nobody's transaction; the claim ends with the proposal.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from msgspec.structs import replace

from ledger import agenda, parameters
from ledger.agenda import Moment, Outcome, What
from ledger.codes import Code, Refused
from ledger.documents import NONE, Approval, Policy, Proposal, ProposalStatus
from ledger.kind import Context, Kind, Subject
from ledger.limits import PAYLOAD_BYTES_MAX, SIGNATURES_MAX
from ledger.policies import is_lost, is_met, may_sign
from ledger.state import State
from primitives.codec import encode, pack, unpack
from primitives.hashing import ACT, tagged_hash

NO_REASON = 0


def propose(ctx: Context, kind: Kind, payload: Any) -> tuple[int, ...]:
    """Open a proposal signed by the transaction's signers, and execute it if they are enough.

    Returns the proposal's index and, after it, the indices that its effect created.
    """
    state = ctx.state
    policy = policy_of(state, kind.name)
    proposer = ctx.officers()[0][1]
    signatures = _signatures(ctx, policy, NO_REASON, proposer)
    maker = signatures[0]
    if not is_met(policy, state.institutions, signatures, proposer):
        _check_room(state, maker)
    kind.check(ctx, payload)
    claims = _encoded(kind.claims(state, payload))
    for claim in claims:
        _check_unclaimed(state, claim, maker.institution)
    index = state.proposals.append(
        Proposal(
            kind=kind.number,
            act=kind.name,
            payload=pack(payload),
            maker=maker.officer,
            institution=maker.institution,
            created_height=ctx.height,
            created_ms=ctx.time_ms,
            expires_ms=ctx.time_ms + 1_000 * parameters.number(state, "proposal_lifetime_s"),
            status=ProposalStatus.OPEN,
            approvals=signatures,
            objections=(),
            decided_height=0,
            decided_ms=0,
            code=Code.OK,
            field=0,
            values=(),
            created=(),
            due=NONE,
            rests_on=(*claims, *_encoded(kind.rests_on(state, payload))),
            claims=len(claims),
        )
    )
    created = _complete(ctx, index)
    proposal = state.proposals[index]
    if proposal.status is ProposalStatus.OPEN:
        due = agenda.schedule(state, proposal.expires_ms, What.PROPOSAL_EXPIRY, index)
        state.proposals.replace(index, replace(proposal, due=due))
    return (index, *created)


def _check_room(state: State, maker: Approval) -> None:
    """Refuse one more proposal that would stay open. Each institution has room of its own, and it takes as
    many of its officers as its threshold to fill it: who can fill it is the institution."""
    institution = state.institutions[maker.institution]
    share = parameters.number(state, "proposals_open_max") // len(state.institutions)
    room = max(share, institution.threshold)
    if state.proposals.count_in(("institution", maker.institution)) >= room:
        raise Refused(Code.LIMIT_EXCEEDED, "proposal", room, institution.name)
    if state.proposals.count_in(maker.officer) >= room // institution.threshold:
        raise Refused(Code.LIMIT_EXCEEDED, "signers", maker.officer, room // institution.threshold)


def check_unclaimed(state: State, subject: Subject) -> None:
    """Refuse what an open proposal claims. Raises Refused(claimed)."""
    _check_unclaimed(state, encode(list(subject)), NONE)


def _check_unclaimed(state: State, claim: bytes, institution: int) -> None:
    """Refuse what an open proposal of another institution claims."""
    for index in state.proposals.members(claim):
        proposal = state.proposals[index]
        if proposal.institution != institution and claim in proposal.rests_on[: proposal.claims]:
            raise Refused(Code.CLAIMED, "proposal", index)


def _encoded(subjects: Iterable[Subject]) -> tuple[bytes, ...]:
    return tuple(encode(list(subject)) for subject in subjects)


def act_hash(kind: int, payload: bytes) -> bytes:
    """What a signature under a proposal names: the number of its kind, and the payload's encoding as kept."""
    return tagged_hash(ACT, encode([kind, payload]))


def check_signature(ctx: Context, index: int, act: bytes) -> None:
    """Refuse unless the transaction's signers may sign the open proposal `index`, each for the first time,
    and mean its act."""
    proposal = _open(ctx, index, act)
    signatures = _signatures(ctx, policy_of(ctx.state, proposal.act), NO_REASON, proposal.institution)
    for signature in signatures:
        for earlier in (*proposal.approvals, *proposal.objections):
            if earlier.officer == signature.officer:
                raise Refused(Code.DUPLICATE_OFFICER, "signers", signature.officer)
    _check_signatures(proposal, signatures)


def _check_signatures(proposal: Proposal, more: tuple[Approval, ...]) -> None:
    """Refuse signatures that would be too many of one institution. Each has room of its own, for all of its
    officers and as many who come after them."""
    counted = Counter(each.institution for each in (*proposal.approvals, *proposal.objections, *more))
    for signature in more:
        if counted[signature.institution] > SIGNATURES_MAX:
            raise Refused(Code.LIMIT_EXCEEDED, "signers", signature.officer)


def approve(ctx: Context, index: int, reason: int) -> tuple[int, ...]:
    """Add the approvals; returns the indices that the effect created if this completed the policy."""
    proposal = ctx.state.proposals[index]
    signatures = _signatures(ctx, policy_of(ctx.state, proposal.act), reason, proposal.institution)
    ctx.state.proposals.replace(index, replace(proposal, approvals=(*proposal.approvals, *signatures)))
    return _complete(ctx, index)


def reject(ctx: Context, index: int, reason: int) -> None:
    """Add the signers' objections; the proposal is REJECTED once its policy can no longer be met."""
    proposal = ctx.state.proposals[index]
    signatures = _signatures(ctx, policy_of(ctx.state, proposal.act), reason, proposal.institution)
    proposal = replace(proposal, objections=(*proposal.objections, *signatures))
    ctx.state.proposals.replace(index, proposal)
    if _is_lost(ctx.state, proposal):
        _close(ctx.state, index, proposal, ProposalStatus.REJECTED, ctx.height, ctx.time_ms)


def check_withdrawal(ctx: Context, index: int, act: bytes) -> None:
    """Refuse unless the maker of the open proposal `index` signs, alone, and means its act."""
    proposal = _open(ctx, index, act)
    for signer, _ in ctx.officers():
        if signer != proposal.maker:
            raise Refused(Code.NOT_AUTHORISED, "proposal.maker", signer)


def withdraw(ctx: Context, index: int, reason: int) -> None:
    """Take the proposal back."""
    proposal = ctx.state.proposals[index]
    signature = Approval(proposal.maker, proposal.institution, ctx.height, ctx.time_ms, reason)
    proposal = replace(proposal, objections=(*proposal.objections, signature))
    _close(ctx.state, index, proposal, ProposalStatus.WITHDRAWN, ctx.height, ctx.time_ms)


def expire(state: State, moment: Moment, index: int, detail: int) -> Outcome:
    """The time of an open proposal is over."""
    expired = replace(
        state.proposals[index],
        status=ProposalStatus.EXPIRED,
        decided_height=moment.height,
        decided_ms=moment.time_ms,
    )
    state.proposals.replace(index, expired)
    return agenda.DONE


def overtake(state: State, moment: Moment, row: int, what: What, moved: Iterable[Subject]) -> int:
    """Close the open proposals that rest on what time has moved by a row of the agenda; how many they are."""
    since = Refused(Code.SUPERSEDED, "agenda", row, what)
    return _supersede(state, since, _encoded(moved), moment.height, moment.time_ms)


def expire_acts(state: State, numbers: Collection[int], height: int, time_ms: int) -> None:
    """Close the open proposals of these kinds, which a new version of the protocol no longer has as such."""
    for index, proposal in enumerate(state.proposals):
        if proposal.kind in numbers and proposal.status is ProposalStatus.OPEN:
            _close(state, index, proposal, ProposalStatus.EXPIRED, height, time_ms)


def policy_of(state: State, act: str) -> Policy:
    """The policy under which `act` stands; the genesis check saw to it that every governed act has one."""
    return state.policies[state.policies.by_key[act]]


def _open(ctx: Context, index: int, act: bytes) -> Proposal:
    proposal = ctx.state.proposals.require(index, "proposal")
    status = proposal.status
    if status is ProposalStatus.OPEN and ctx.time_ms >= proposal.expires_ms:
        status = ProposalStatus.EXPIRED  # its row of the agenda has not been reached yet
    if status is not ProposalStatus.OPEN:
        raise Refused(Code.WRONG_STATUS, "proposal.status", status)
    if act != (meant := act_hash(proposal.kind, proposal.payload)):
        raise Refused(Code.OTHER_ACT, "act", act, meant)
    return proposal


def _signatures(ctx: Context, policy: Policy, reason: int, proposer: int) -> tuple[Approval, ...]:
    signatures = []
    for signer, institution in ctx.officers():
        if not may_sign(policy, ctx.state.institutions, institution, proposer):
            raise Refused(
                Code.NOT_AUTHORISED, "policy", signer, ctx.state.institutions[institution].name, policy.act
            )
        signatures.append(Approval(signer, institution, ctx.height, ctx.time_ms, reason))
    return tuple(signatures)


def _is_met(state: State, proposal: Proposal) -> bool:
    policy = policy_of(state, proposal.act)
    return is_met(policy, state.institutions, proposal.approvals, proposal.institution)


def _is_lost(state: State, proposal: Proposal) -> bool:
    policy, institutions = policy_of(state, proposal.act), state.institutions
    return is_lost(policy, institutions, proposal.approvals, proposal.objections, proposal.institution)


def _complete(ctx: Context, index: int) -> tuple[int, ...]:
    """Execute the proposal if its policy is met, else leave it open."""
    proposal = ctx.state.proposals[index]
    return _execute(ctx, index, proposal) if _is_met(ctx.state, proposal) else ()


def _execute(ctx: Context, index: int, proposal: Proposal) -> tuple[int, ...]:
    """The effect, checked again as the state now stands: all of it or nothing."""
    state = ctx.state
    kind = ctx.rules.kinds[proposal.kind]  # an upgrade closes proposals of kinds that it changes
    payload = unpack(proposal.payload, kind.payload, PAYLOAD_BYTES_MAX)
    mark = state.mark()
    institutions = state.institutions[:]
    ctx.proposal = index
    try:
        kind.check(ctx, payload)
        if _encoded(kind.rests_on(state, payload)) != proposal.rests_on[proposal.claims :]:
            raise Refused(Code.SUPERSEDED, "proposal", index, proposal.created_height)
        moved = _encoded((kind.moves or kind.rests_on)(state, payload))
        created = kind.apply(ctx, payload)
    except Refused as refused:
        state.undo(mark)
        _fail(state, index, refused, ctx.height, ctx.time_ms)
        return ()
    executed = replace(proposal, created=created)
    _close(state, index, executed, ProposalStatus.EXECUTED, ctx.height, ctx.time_ms)
    since = Refused(Code.SUPERSEDED, "proposal", index)
    _supersede(state, since, (*proposal.rests_on[: proposal.claims], *moved), ctx.height, ctx.time_ms)
    if state.institutions[:] != institutions:
        _judge_again(ctx, index)
    return created


def _supersede(state: State, since: Refused, moved: Iterable[bytes], height: int, time_ms: int) -> int:
    """Close the open proposals that rest on what was moved, because of `since`; how many they are."""
    resting = sorted({index for subject in moved for index in state.proposals.members(subject)})
    for index in resting:
        _fail(state, index, since, height, time_ms)
    return len(resting)


def _judge_again(ctx: Context, index: int) -> None:
    """Close the open proposals that are decided, with nobody's signature, by the institutions as the act of
    proposal `index` has changed them: their signatures were given under another threshold, or by others."""
    state = ctx.state
    makers = range(len(state.institutions))
    for other in sorted(
        other for maker in makers for other in state.proposals.members(("institution", maker))
    ):
        proposal = state.proposals[other]
        if _is_met(state, proposal):
            _fail(state, other, Refused(Code.SUPERSEDED, "institution", index), ctx.height, ctx.time_ms)
        elif _is_lost(state, proposal):
            _close(state, other, proposal, ProposalStatus.REJECTED, ctx.height, ctx.time_ms)


def _fail(state: State, index: int, refused: Refused, height: int, time_ms: int) -> None:
    failed = replace(
        state.proposals[index], code=refused.code, field=refused.field_number, values=refused.values
    )
    _close(state, index, failed, ProposalStatus.FAILED, height, time_ms)


def _close(
    state: State, index: int, proposal: Proposal, status: ProposalStatus, height: int, time_ms: int
) -> None:
    state.proposals.replace(
        index, replace(proposal, status=status, decided_height=height, decided_ms=time_ms)
    )
    if proposal.due != NONE:
        agenda.cancel(state, proposal.due, height)
