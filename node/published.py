"""What a node shows of its chain: an immutable value, made anew between two blocks.

Whoever is not the driver reads this and nothing else of the replica. It is whole at every moment, also while
the next block is being executed, and never changes: to see what is new, look again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.messages import Validator
from ledger import schedule
from ledger.documents import NodeRole
from ledger.institutions import roots_in_force
from ledger.parameters import Parameters
from ledger.state import StateView
from ledger.versions import Rules
from node.replica import Replica
from wire.blocks import Header


@dataclass(frozen=True, slots=True)
class RegisteredNode:
    """A node in the ledger's registry."""

    name: str
    institution: str
    public_key: bytes
    power: int
    role: NodeRole


@dataclass(frozen=True, slots=True)
class Published:
    """The chain after the block of `height`; 0 and no header before the first."""

    height: int
    header: Header | None
    genesis_hash: bytes
    time_ms: int  # header time of the last block; that of the genesis before the first
    state: StateView  # all tables as they stood
    state_root: bytes
    version: int  # of the protocol, which the next block follows
    rules: Rules  # of that version
    scheduled: tuple[int, int] | None  # the version that is to come, and the first height that follows it
    parameters: Parameters
    validators: tuple[Validator, ...]  # those who decide the next height
    voters: tuple[str, ...]  # the names of their nodes, each at its validator's position
    nodes: tuple[RegisteredNode, ...]  # in the order of the registry
    roots: Mapping[str, tuple[bytes, ...]]  # each institution's certificate authorities (DER)

    @property
    def powers(self) -> dict[str, int]:
        """The power of each who decides the next height, by the name of its node."""
        return dict(zip(self.voters, (validator.power for validator in self.validators), strict=True))

    def node(self, name: str) -> RegisteredNode | None:
        """The node of that name, if the registry has it."""
        return next((node for node in self.nodes if node.name == name), None)

    def key_in_force(self, name: str) -> bytes:
        """The key by which the node of that name votes on the next height, or with which it is registered;
        b"" if the registry has no such node."""
        if name in self.voters:
            return self.validators[self.voters.index(name)].public_key
        known = self.node(name)
        return b"" if known is None else known.public_key


def publish(replica: Replica, header: Header | None) -> Published:
    """What there is to show of `replica`, whose last block has `header`. Call it between two blocks."""
    institutions = replica.state.institutions
    pending = schedule.pending(replica.state)
    scheduled = None if pending is None else replica.state.versions[pending]
    return Published(
        height=replica.height,
        header=header,
        genesis_hash=replica.genesis_hash,
        time_ms=replica.last_time_ms,
        state=replica.state.publish(),
        state_root=replica.state_root,
        version=replica.next_version,
        rules=replica.rules,
        scheduled=None if scheduled is None else (scheduled.version, scheduled.from_height),
        parameters=replica.parameters,
        validators=replica.validators,
        voters=replica.node_names(replica.validators),
        nodes=tuple(
            RegisteredNode(
                node.name, institutions[node.institution].name, node.public_key, node.power, node.role
            )
            for node in replica.state.nodes
        ),
        roots=roots_in_force(replica.state, replica.last_time_ms),
    )
