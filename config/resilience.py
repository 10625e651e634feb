"""What a network survives: how many nodes, and which whole institutions, may fail or lie.

One inequality answers both. A set of validators may be silent while the others still form a quorum (more
than two thirds of the power); the same sets may lie without any two honest nodes deciding differently
(arXiv 1807.04938: fewer than a third).
"""

from collections import Counter
from dataclasses import dataclass

from consensus.quorum import is_quorum
from ledger.genesis import Genesis


@dataclass(frozen=True, slots=True)
class InstitutionShare:
    """One institution's power in consensus, and whether the network survives the loss of all of it."""

    name: str
    nodes: int
    power: int
    may_fail: bool


@dataclass(frozen=True, slots=True)
class Resilience:
    """`nodes_any`: as many validators as may fail whichever they are; `institutions_any` likewise.

    `voting_needed` of the `voting` institutions must approve a change to the network.
    """

    validators: int
    power: int
    nodes_any: int
    institutions_any: int
    institutions: tuple[InstitutionShare, ...]
    voting: int
    voting_needed: int


def resilience(genesis: Genesis) -> Resilience:
    """The arithmetic of a genesis without problems."""
    powers = [node.power for node in genesis.nodes if node.power > 0]
    total = sum(powers)
    shares = Counter[str]()
    nodes = Counter[str]()
    for node in genesis.nodes:
        if node.power > 0:
            shares[node.institution] += node.power
            nodes[node.institution] += 1
    voting = sum(institution.voting for institution in genesis.institutions)
    return Resilience(
        validators=len(powers),
        power=total,
        nodes_any=_any(powers, total),
        institutions_any=_any(list(shares.values()), total),
        institutions=tuple(
            InstitutionShare(
                name=institution.name,
                nodes=nodes[institution.name],
                power=shares[institution.name],
                may_fail=survives(shares[institution.name], total),
            )
            for institution in genesis.institutions
            if nodes[institution.name]
        ),
        voting=voting,
        voting_needed=next(count for count in range(voting + 1) if is_quorum(count, voting)),
    )


def survives(lost: int, total: int) -> bool:
    """Whether the network goes on, and agrees, when validators of power `lost` fail or lie."""
    return is_quorum(total - lost, total)


def _any(powers: list[int], total: int) -> int:
    """How many may be lost even if they are the heaviest."""
    lost = 0
    for count, power in enumerate(sorted(powers, reverse=True)):
        lost += power
        if not survives(lost, total):
            return count
    return len(powers)
