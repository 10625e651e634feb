"""Validators that lie, by name: what each one says is a function of what it hears.

A liar has a real place in the set and signs what it likes. `LIES` names the ways; "mixed" is a little of
everything, by chance. A new liar is a function here and its name in the table.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Protocol

from consensus.messages import Certificate, Proposal, Validator, Vote, VoteType
from consensus.proposer import proposer
from testing.limits import LIES_MAX

Message = Proposal | Vote | Certificate


class World(Protocol):
    """What a liar needs of the cluster around it."""

    random: Random
    faulty: bool
    validators: tuple[Validator, ...]

    @property
    def everyone(self) -> range:
        """The positions of all who listen."""

    def send(self, sender: int, receiver: int, message: Message, with_block: bool = False) -> None:
        """Let `receiver` hear it, if the network does not lose it."""

    def new_block(self, height: int, by: int, valid: bool) -> bytes:
        """The id of a block that did not exist before."""


class Liar:
    """A validator that says what `lie` makes of what it hears, for as long as faults last."""

    def __init__(self, world: World, position: int, lie: str = "mixed") -> None:
        self.world = world
        self.position = position
        self.values: dict[int, list[bytes]] = {}  # those that it has heard of at each height
        self._lie = LIES[lie]
        self.is_kingmaker = lie == kingmaker.__name__
        self._drawn: dict[tuple[object, ...], int] = {}
        self._decided: set[tuple[int, int]] = set()
        self.told: set[tuple[int, int, VoteType, int]] = set()
        self.voters: dict[tuple[int, int, VoteType, bytes | None], dict[int, bytes]] = {}
        self._acts = 0
        self._places: set[tuple[int, int]] = set()

    def receive(self, sender: int, message: Message, with_block: bool) -> None:
        self._acts += 1
        if not self.world.faulty or self._acts > LIES_MAX:
            return
        if isinstance(message, Proposal):
            values = self.values.setdefault(message.height, [])
            if message.value not in values:
                values.append(message.value)
        self._lie(self, message)

    def holds(self, sender: int, receiver: int, message: Message) -> bool:
        """Whether the network, which a kingmaker owns while faults last, loses an honest message.

        Of every step each receiver misses the vote of one honest sender, so that whether it sees a quorum is
        the kingmaker's choice; certificates hardly pass, and whoever has decided is heard by nobody.
        """
        if not self.is_kingmaker or self.position in (sender, receiver):
            return False
        height = message.height
        if isinstance(message, Certificate):
            if message.type is VoteType.PRECOMMIT:
                self._decided.add((height, sender))
            return self.world.random.random() < 0.9
        if (height, sender) in self._decided:
            return True
        if isinstance(message, Proposal):
            return self.draw(4, height, message.round, receiver, "proposal") == 0
        heard = (other for other in self.others if other != receiver)
        honest = [other for other in heard if (height, other) not in self._decided]
        missed = self.draw(60, height, message.round, message.type, receiver)
        return len(honest) > 1 and honest[missed % len(honest)] == sender

    def draw(self, below: int, *place: object) -> int:
        """A number that is drawn once for each place."""
        if place not in self._drawn:
            self._drawn[place] = self.world.random.randrange(max(1, below))
        return self._drawn[place]

    @property
    def others(self) -> list[int]:
        return [position for position in self.world.everyone if position != self.position]

    def is_new(self, height: int, round: int) -> bool:
        """Whether this round is met for the first time; from now on it is not."""
        is_new = (height, round) not in self._places
        self._places.add((height, round))
        return is_new

    def proposes(self, height: int, round: int) -> bool:
        return proposer(self.world.validators, height, round) == self.position

    def vote(self, type: VoteType, height: int, round: int, value: bytes | None, *receivers: int) -> None:
        said = Vote(type, height, round, value, self.position)
        self.say(replace(said, signature=fake_signature(said)), *receivers)

    def propose(self, height: int, round: int, value: bytes, pol_round: int, *receivers: int) -> None:
        said = Proposal(height, round, value, pol_round, self.position)
        self.say(replace(said, signature=fake_signature(said)), *receivers)

    def say(self, message: Message, *receivers: int) -> None:
        for receiver in receivers:
            self.world.send(self.position, receiver, message)


def silent(liar: Liar, message: Message) -> None:
    """Says nothing, ever: as good as dead, and nobody can prove more."""


def nil_voter(liar: Liar, message: Message) -> None:
    """Votes nil whatever is proposed."""
    if liar.is_new(message.height, message.round):
        for type in VoteType:
            liar.vote(type, message.height, message.round, None, *liar.others)


def equivocator(liar: Liar, message: Message) -> None:
    """Votes for the value towards one half and nil towards the other, in every round."""
    if isinstance(message, Proposal) and liar.is_new(message.height, message.round):
        half = len(liar.others) // 2
        for type in VoteType:
            liar.vote(type, message.height, message.round, message.value, *liar.others[:half])
            liar.vote(type, message.height, message.round, None, *liar.others[half:])


def amnesiac(liar: Liar, message: Message) -> None:
    """Votes for whatever is proposed, whatever it was locked on: one vote each time, so nothing proves it."""
    if isinstance(message, Proposal) and liar.is_new(message.height, message.round):
        for type in VoteType:
            liar.vote(type, message.height, message.round, message.value, *liar.others)


def two_faced_proposer(liar: Liar, message: Message) -> None:
    """Proposes one block to one half and another to the other, and votes with each half for its own."""
    for round in (message.round, message.round + 1):
        if liar.proposes(message.height, round) and liar.is_new(message.height, round):
            half = len(liar.others) // 2
            for receivers in (liar.others[:half], liar.others[half:]):
                value = liar.world.new_block(message.height, liar.position, True)
                liar.propose(message.height, round, value, -1, *receivers)
                for type in VoteType:
                    liar.vote(type, message.height, round, value, *receivers)


def forger(liar: Liar, message: Message) -> None:
    """Proposes blocks that break the ledger's rules, and votes for them as if they did not."""
    for round in (message.round, message.round + 1):
        if liar.proposes(message.height, round) and liar.is_new(message.height, round):
            value = liar.world.new_block(message.height, liar.position, False)
            liar.propose(message.height, round, value, -1, *liar.others)
            for type in VoteType:
                liar.vote(type, message.height, round, value, *liar.others)


def false_pol(liar: Liar, message: Message) -> None:
    """Proposes with a proof of lock that there never was."""
    for round in (message.round, message.round + 1):
        if round and liar.proposes(message.height, round) and liar.is_new(message.height, round):
            value = liar.world.new_block(message.height, liar.position, True)
            liar.propose(message.height, round, value, round - 1, *liar.others)


def runaway(liar: Liar, message: Message) -> None:
    """Votes in rounds far ahead, to drag the others there."""
    round = message.round + 100
    if liar.is_new(message.height, round):
        for type in VoteType:
            liar.vote(type, message.height, round, None, *liar.others)


def straggler(liar: Liar, message: Message) -> None:
    """Votes only in rounds that everyone has left."""
    if message.round and isinstance(message, Proposal) and liar.is_new(message.height, message.round):
        for type in VoteType:
            liar.vote(type, message.height, message.round - 1, message.value, *liar.others)


def replayer(liar: Liar, message: Message) -> None:
    """Sends again whatever it heard, to whoever did not ask."""
    liar.world.send(liar.position, liar.world.random.choice(liar.others), message)


def kingmaker(liar: Liar, message: Message) -> None:
    """Owns the network, and splits every quorum: in each step it shows its vote for the value to some, who
    see a quorum, and its nil to the others, who see none; in its own turns it says nothing, proposes afresh,
    or brings back a value with a polka that the others may never have seen."""
    for turn in (message.round, message.round + 1):
        if liar.proposes(message.height, turn) and liar.is_new(message.height, turn):
            _propose_to_split(liar, message.height, turn)
    if not isinstance(message, Vote):
        return
    place = (message.height, message.round, message.type)
    liar.voters.setdefault((*place, message.value), {})[message.validator] = message.signature
    for receiver in liar.others:
        if (*place, receiver) not in liar.told:
            liar.told.add((*place, receiver))
            granted = liar.draw(3, *place, receiver, "granted") > 0
            liar.vote(
                message.type, message.height, message.round, message.value if granted else None, receiver
            )


def _propose_to_split(liar: Liar, height: int, turn: int) -> None:
    polkas = [
        (round, value)
        for (its_height, round, type, value), voters in liar.voters.items()
        if its_height == height and type is VoteType.PREVOTE and value is not None
        if round < turn and len(voters) + 1 >= len(liar.others)
    ]
    choice = liar.draw(4, height, turn, "choice")
    if choice == 0:
        return
    if choice == 1 or not polkas:
        liar.propose(height, turn, liar.world.new_block(height, liar.position, True), -1, *liar.others)
        return
    round, value = polkas[liar.draw(60, height, turn, "polka") % len(polkas)]
    own = Vote(VoteType.PREVOTE, height, round, value, liar.position)
    signatures = {**liar.voters[(height, round, VoteType.PREVOTE, value)], liar.position: fake_signature(own)}
    polka = Certificate(VoteType.PREVOTE, height, round, value, tuple(sorted(signatures.items())))
    liar.say(polka, *liar.others)
    liar.propose(height, turn, value, round, *liar.others)


def mixed(liar: Liar, message: Message) -> None:
    """Different things to different people, and now and then the truth."""
    random = liar.world.random
    if liar.is_new(message.height, message.round):
        _propose_at_random(liar, message.height, message.round)
        _propose_at_random(liar, message.height, message.round + 1)
    if random.random() < 0.4:
        _vote_at_random(liar, message.height, message.round + random.choice((0, 0, 0, 0, 1, 2, 100)))
    if isinstance(message, Certificate) and random.random() < 0.5:
        liar.world.send(liar.position, random.randrange(len(liar.world.everyone)), message)


def _propose_at_random(liar: Liar, height: int, round: int) -> None:
    world, random = liar.world, liar.world.random
    if not liar.proposes(height, round):
        return
    known = liar.values.setdefault(height, [])
    known += [world.new_block(height, liar.position, valid) for valid in (True, True, False)]
    for receiver in world.everyone:
        for _ in range(random.choice((0, 1, 1, 2))):
            value, pol_round = random.choice(known), random.randrange(-1, round) if round else -1
            if receiver != liar.position:
                liar.propose(height, round, value, pol_round, receiver)


def _vote_at_random(liar: Liar, height: int, round: int) -> None:
    random = liar.world.random
    for receiver in liar.others:
        if random.random() >= 0.3:
            value = random.choice([None, *liar.values.get(height, [])])
            liar.vote(random.choice(list(VoteType)), height, round, value, receiver)


LIES: dict[str, Callable[[Liar, Message], None]] = {
    lie.__name__: lie
    for lie in (
        silent,
        nil_voter,
        equivocator,
        amnesiac,
        two_faced_proposer,
        forger,
        false_pol,
        runaway,
        straggler,
        replayer,
        kingmaker,
        mixed,
    )
}


def fake_signature(message: Proposal | Vote) -> bytes:
    """Returns 64 bytes that only the sender's own words give; the cost of real signatures buys nothing
    here."""
    return sha256(repr(replace(message, signature=b"")).encode()).digest() * 2
