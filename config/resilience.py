"""What a genesis gives its network to survive: how many nodes, and which whole institutions, may fail or lie.

The arithmetic is the ledger's (`ledger.survival`), which asks it of every later change.
"""

from dataclasses import dataclass

from consensus.quorum import is_quorum
from ledger.genesis import Genesis
from ledger.survival import Strength, strength


@dataclass(frozen=True, slots=True)
class InstitutionShare:
    """One institution's power in consensus, and whether the network survives the loss of all of it."""

    name: str
    nodes: int
    power: int
    may_fail: bool


@dataclass(frozen=True, slots=True)
class Resilience:
    """`voting_needed` of the `voting` institutions must approve a change to the network."""

    strength: Strength[str]
    institutions: tuple[InstitutionShare, ...]
    voting: int
    voting_needed: int


def resilience(genesis: Genesis) -> Resilience:
    """The arithmetic of a genesis without problems."""
    found = strength((node.institution, node.power) for node in genesis.nodes)
    shares = []
    for institution in genesis.institutions:
        powers = [
            node.power for node in genesis.nodes if node.power > 0 and node.institution == institution.name
        ]
        if powers:
            may_fail = institution.name not in found.could_stop
            shares.append(InstitutionShare(institution.name, len(powers), sum(powers), may_fail))
    voting = sum(institution.voting for institution in genesis.institutions)
    return Resilience(
        strength=found,
        institutions=tuple(shares),
        voting=voting,
        voting_needed=next(count for count in range(voting + 1) if is_quorum(count, voting)),
    )
