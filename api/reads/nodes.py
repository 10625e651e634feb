"""Reads of the nodes, and of the roots under which their certificates stand."""

from hashlib import sha256

from api.declare import read
from api.fields import (
    PAGE_DEFAULT,
    Blob,
    Cursor,
    Decimal,
    Hash,
    Height,
    Index,
    Key,
    Limit,
    Milliseconds,
    Shown,
)
from api.showing import documents_of, shown
from api.sources import View
from ledger.documents import Institution, Node, NodeRole
from ledger.enrolment import signer_of


class NodeView(Shown, frozen=True):
    """A node of the registry; a RETIRED one is nobody's peer. It has role and power by the act of block
    `since_height`, its key by that of `key_height` (0: by the genesis); in force two blocks later. `offences`
    are its proven equivocations."""

    node: Index
    name: str
    institution: str
    role: NodeRole
    power: Decimal
    since_height: Height
    public_key: Key
    key_height: Height
    offences: int


class NodeListReply(Shown, frozen=True):
    """A page of nodes."""

    height: Height
    items: tuple[NodeView, ...]
    next_cursor: Cursor | None


class CaRootView(Shown, frozen=True):
    """A root certificate (DER) of an institution; `until_ms` 0 means no end, `sha256` is its fingerprint."""

    sha256: Hash
    from_ms: Milliseconds
    until_ms: Milliseconds
    in_force: bool
    der: Blob


class InstitutionRootsView(Shown, frozen=True):
    """The roots under which an institution's nodes have their certificates; two while they change."""

    institution: Index
    name: str
    ca_roots: tuple[CaRootView, ...]


class CaRootListReply(Shown, frozen=True):
    """A page of institutions with their roots."""

    height: Height
    items: tuple[InstitutionRootsView, ...]
    next_cursor: Cursor | None


class NodeReads:
    """Reads of nodes and of roots of their certificates."""

    @read
    def node_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> NodeListReply:
        """Every node there is or was, by index."""
        state = view.state

        def show(index: int, node: Node) -> NodeView:
            return shown(
                NodeView,
                node,
                node=index,
                institution=state.institutions[node.institution].name,
                key_height=state.signers[signer_of(state, node.public_key)].enrolled_at,
            )

        items, next_cursor = documents_of(state.nodes, cursor, limit, show)
        return NodeListReply(height=view.height, items=items, next_cursor=next_cursor)

    @read
    def ca_root_list(view: View, cursor: Cursor = 0, limit: Limit = PAGE_DEFAULT) -> CaRootListReply:
        """The roots of nodes' certificates, by institution."""
        now_ms = view.ledger_time_ms

        def show(index: int, institution: Institution) -> InstitutionRootsView:
            roots = tuple(
                shown(
                    CaRootView,
                    root,
                    sha256=sha256(root.der).digest(),
                    in_force=not root.until_ms or now_ms < root.until_ms,
                )
                for root in institution.ca_roots
            )
            return shown(InstitutionRootsView, institution, institution=index, ca_roots=roots)

        items, next_cursor = documents_of(view.state.institutions, cursor, limit, show)
        return CaRootListReply(height=view.height, items=items, next_cursor=next_cursor)
