"""Reads of who takes part and by which rules: VASPs, institutions, policies, parameters."""

from typing import TypeVar

from api.declare import read
from api.fields import PAGE_DEFAULT, Cursor, Decimal, Height, Index, Key, Limit, Milliseconds, Name, Shown
from api.refusals import Declined
from api.showing import documents_of, index_of, shown
from api.sources import View
from ledger.codes import Code
from ledger.documents import NONE, Institution, Policy, Rule, Stage, Vasp, Version, VersionStatus
from ledger.state import StateView
from ledger.versions import rules


class ReplacementView(Shown, frozen=True):
    """The key that takes the place of a VASP's settlement key at `due_ms`, unless that one rotates before."""

    signer: Index
    public_key: Key
    due_ms: Milliseconds


class VaspView(Shown, frozen=True):
    """A VASP and where its admission stands; a time of 0 means not yet. `signer` has its settlement key,
    `replacement` is what waits to take that key's place, None if nothing does."""

    vasp: Index
    name: str
    title: str
    signer: Index
    stage: Stage
    noc_ms: Milliseconds
    goaml_ms: Milliseconds
    subsidiary_ms: Milliseconds
    subsidiary_name: str
    subsidiary_number: str
    applied_ms: Milliseconds
    applied_categories: tuple[str, ...]
    licensed_ms: Milliseconds
    categories: tuple[str, ...]
    accounts: Decimal
    frozen: bool
    replacement: ReplacementView | None


class VaspReply(VaspView, frozen=True):
    """A VASP as of `height`."""

    height: Height


class VaspListReply(Shown, frozen=True):
    """A page of VASPs."""

    height: Height
    items: tuple[VaspView, ...]
    next_cursor: Cursor | None


class InstitutionView(Shown, frozen=True):
    """An institution: it approves when `threshold` of its officers (signers) have signed."""

    institution: Index
    name: str
    title: str
    voting: bool
    threshold: int
    officers: tuple[Index, ...]
    treasury: Index | None


class InstitutionListReply(Shown, frozen=True):
    """A page of institutions."""

    height: Height
    items: tuple[InstitutionView, ...]
    next_cursor: Cursor | None


class PolicyView(Shown, frozen=True):
    """Who must approve `act`: the names of the institutions, and how they are counted."""

    policy: Index
    act: str
    rule: Rule
    institutions: tuple[str, ...]


class PolicyListReply(Shown, frozen=True):
    """A page of policies."""

    height: Height
    items: tuple[PolicyView, ...]
    next_cursor: Cursor | None


class VersionView(Shown, frozen=True):
    """A version of the protocol in the chain's schedule: from which height blocks follow it, how it stands,
    and the block that scheduled it (0: the genesis)."""

    entry: Index
    version: int
    from_height: Height
    status: VersionStatus
    scheduled_height: Height


class VersionListReply(Shown, frozen=True):
    """A page of the schedule."""

    height: Height
    items: tuple[VersionView, ...]
    next_cursor: Cursor | None


class ParameterReply(Shown, frozen=True):
    """`value` is a number, a text or a list of texts."""

    height: Height
    name: str
    value: int | str | tuple[str, ...]
    meaning: str


V = TypeVar("V", bound=VaspView)


class InstitutionReads:
    """Reads of VASPs, institutions, policies and parameters."""

    @read
    def vasp_get(view: View, vasp: Index | Name) -> VaspReply:
        """One VASP, by its index or its name."""
        index = index_of(view.state.vasps, vasp, "vasp")
        return _vasp(VaspReply, view.state, index, height=view.height)

    @read
    def vasp_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> VaspListReply:
        """VASPs by index."""

        def show(index: int, vasp: Vasp) -> VaspView:
            return _vasp(VaspView, view.state, index)

        items, next_cursor = documents_of(view.state.vasps, cursor, limit, show)
        return VaspListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def institution_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> InstitutionListReply:
        """Institutions by index."""

        def show(index: int, institution: Institution) -> InstitutionView:
            return shown(InstitutionView, institution, institution=index)

        items, next_cursor = documents_of(view.state.institutions, cursor, limit, show)
        return InstitutionListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def policy_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> PolicyListReply:
        """Policies by index: who must approve each kind of act."""
        institutions = view.state.institutions

        def show(index: int, policy: Policy) -> PolicyView:
            names = tuple(institutions[number].name for number in policy.institutions)
            return shown(PolicyView, policy, policy=index, institutions=names)

        items, next_cursor = documents_of(view.state.policies, cursor, limit, show)
        return PolicyListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def version_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> VersionListReply:
        """The schedule of the protocol's versions: past, in force, to come, cancelled."""

        def show(index: int, record: Version) -> VersionView:
            return shown(VersionView, record, entry=index)

        items, next_cursor = documents_of(view.state.versions, cursor, limit, show)
        return VersionListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def parameter_get(view: View, name: Name) -> ParameterReply:
        """The value in force of one parameter of the ledger."""
        known = rules(view.state.version).bounds
        if name not in known:
            raise Declined(Code.NOT_FOUND, "name", name, f"must be one of {', '.join(known)}")
        index = index_of(view.state.parameters, name, "name")
        return shown(
            ParameterReply, view.state.parameters[index], height=view.height, meaning=known[name].meaning
        )


def _vasp(kind: type[V], state: StateView, index: int, **more: int) -> V:
    vasp = state.vasps[index]
    return shown(kind, vasp, vasp=index, replacement=_replacement(state, vasp.replacement), **more)


def _replacement(state: StateView, row: int) -> ReplacementView | None:
    if row == NONE:
        return None
    due = state.agenda[row]
    return ReplacementView(due.subject, state.signers.field(due.subject, "public_key"), due.due_ms)
