"""The vote keeper: who voted for what in the rounds that matter, and the quorums that follow from it.

Of each validator the first vote of every step is kept from `ROUNDS_KEPT` rounds before the current one to
the next, because a quorum that comes together after its round was left still decides (L49) or frees (L28).
Beyond the next round one vote of each is kept, and one further ahead only when it is at least twice as far,
so that a liar can fill neither our memory nor our log. The first vote wins; a second, different one is
evidence and counts nowhere. A certificate is applied whole: it makes its quorum even where some of its
votes contradict kept ones, because others have seen those votes first.
"""

from collections.abc import Iterator, Sequence

from consensus.limits import POLKAS_MAX, ROUNDS_KEPT
from consensus.messages import Certificate, Validator, Vote, VoteEquivocation, VoteType
from consensus.quorum import has_honest, is_quorum, total_power


class VoteKeeper:
    """The votes of one height. Whoever adds a vote or a certificate has verified its signatures."""

    def __init__(self, height: int, validators: Sequence[Validator]) -> None:
        self._height = height
        self._validators = tuple(validators)
        self._total = total_power(validators)
        self._round = 0
        self._votes: dict[tuple[int, VoteType], dict[int, Vote]] = {}
        self._power: dict[tuple[int, VoteType], dict[bytes | None, int]] = {}
        self._highest = [-1] * len(self._validators)
        self._reported: set[tuple[int, VoteType, int]] = set()
        self._polkas: dict[int, Certificate] = {}
        self._commit: Certificate | None = None

    def move_to(self, round: int) -> None:
        """Take `round` as the current one: forget the votes of rounds long left, not their certificates."""
        self._round = round
        oldest = round - ROUNDS_KEPT
        for key in [key for key in self._votes if key[0] < oldest]:
            del self._votes[key]
            del self._power[key]
        self._reported = {key for key in self._reported if key[0] >= oldest}

    def has_use(self, vote: Vote) -> bool:
        """Returns True if `add_vote` would remember anything of this vote; it need not be verified."""
        if not 0 <= vote.validator < len(self._validators) or not self._has_room(vote):
            return False
        first = self._votes.get((vote.round, vote.type), {}).get(vote.validator)
        return first is None or self._contradicts(first, vote)

    def has_use_of(self, certificate: Certificate) -> bool:
        """Returns True if `add_certificate` would remember anything of this certificate."""
        if certificate.type is VoteType.PRECOMMIT:
            is_new = self._commit is None
        else:
            is_new = certificate.round not in self._polkas and self._has_room_for_polka(certificate.round)
        return is_new or any(self.has_use(vote) for vote in _votes_of(certificate))

    def add_vote(self, vote: Vote) -> VoteEquivocation | None:
        """Count a vote if its round is kept; returns evidence, once, if it contradicts a kept one."""
        if not self._has_room(vote):
            return None
        self._make_room(vote)
        key = (vote.round, vote.type)
        kept = self._votes.setdefault(key, {})
        powers = self._power.setdefault(key, {})
        first = kept.get(vote.validator)
        if first is not None:
            return self._contradiction(first, vote)
        kept[vote.validator] = vote
        power = powers.get(vote.value, 0) + self._validators[vote.validator].power
        powers[vote.value] = power
        if vote.value is not None and is_quorum(power, self._total):
            self._keep_certificate(self._certify(vote.type, vote.round, vote.value))
        return None

    def add_certificate(self, certificate: Certificate) -> list[VoteEquivocation]:
        """Apply a certificate whole; returns evidence for each vote in it that contradicts a kept one."""
        self._keep_certificate(certificate)
        found = (self.add_vote(vote) for vote in _votes_of(certificate))
        return [evidence for evidence in found if evidence is not None]

    def quorum_any(self, type: VoteType, round: int) -> bool:
        """Returns True if a quorum has voted in `round`, for any value or nil (L34, L47)."""
        return is_quorum(sum(self._power.get((round, type), {}).values()), self._total)

    def quorum_nil(self, type: VoteType, round: int) -> bool:
        """Returns True if a quorum has voted nil in `round` (L44)."""
        return is_quorum(self._power.get((round, type), {}).get(None, 0), self._total)

    def polka(self, round: int) -> Certificate | None:
        """Returns the polka of `round`, a quorum's prevotes for one value, or None; also of an earlier round
        (L28, L36)."""
        return self._polkas.get(round)

    def polkas(self) -> tuple[Certificate, ...]:
        """Every polka known, in ascending order of round."""
        return tuple(self._polkas[round] for round in sorted(self._polkas))

    def commit(self) -> Certificate | None:
        """Returns the commit certificate, a quorum's precommits for one value in one round, the first seen,
        or None (L49)."""
        return self._commit

    def skip_round(self) -> int | None:
        """The highest later round such that more than a third of the power has voted in it or after it.

        L55 asks for f+1 messages of one same round; one honest validator at or beyond the round is what the
        paper needs of them, and asking only that brings scattered rounds together sooner.
        """
        power = 0
        for round in sorted({highest for highest in self._highest if highest > self._round}, reverse=True):
            power += sum(
                self._validators[position].power
                for position, highest in enumerate(self._highest)
                if highest == round
            )
            if has_honest(power, self._total):
                return round
        return None

    def votes(self, type: VoteType, round: int) -> tuple[Vote, ...]:
        """The kept votes of one step of one round, in ascending order of validator."""
        kept = self._votes.get((round, type), {})
        return tuple(kept[validator] for validator in sorted(kept))

    def votes_from(self, round: int) -> tuple[Vote, ...]:
        """One kept vote, the latest, of each validator that has voted in `round` or after it."""
        latest: dict[int, Vote] = {}
        for key in sorted(key for key in self._votes if key[0] >= round):
            latest.update(self._votes[key])
        return tuple(latest[validator] for validator in sorted(latest))

    def missing(self, type: VoteType, round: int) -> tuple[int, ...]:
        """The validators whose vote of this step is not known."""
        kept = self._votes.get((round, type), {})
        return tuple(position for position in range(len(self._validators)) if position not in kept)

    def _has_room(self, vote: Vote) -> bool:
        """Whether a vote of this round is kept for its validator."""
        highest = self._highest[vote.validator]
        if vote.round <= self._round + 1:
            return vote.round >= self._round - ROUNDS_KEPT
        if vote.round <= highest:
            return vote.round == highest
        return highest <= self._round + 1 or vote.round - self._round >= 2 * (highest - self._round)

    def _make_room(self, vote: Vote) -> None:
        """A vote of a new highest round drops those of the one before, if that is still far ahead."""
        highest = self._highest[vote.validator]
        if vote.round > highest:
            self._highest[vote.validator] = vote.round
            if highest > self._round + 1:
                for type in VoteType:
                    self._drop(highest, type, vote.validator)

    def _drop(self, round: int, type: VoteType, validator: int) -> None:
        kept = self._votes.get((round, type), {})
        vote = kept.pop(validator, None)
        if vote is not None:
            self._power[(round, type)][vote.value] -= self._validators[validator].power
            if not kept:
                del self._votes[(round, type)]
                del self._power[(round, type)]

    def _contradicts(self, first: Vote, second: Vote) -> bool:
        """Whether the two differ, and nothing was reported of their place."""
        place = (first.round, first.type, first.validator)
        return first.value != second.value and place not in self._reported

    def _contradiction(self, first: Vote, second: Vote) -> VoteEquivocation | None:
        if not self._contradicts(first, second):
            return None
        self._reported.add((first.round, first.type, first.validator))
        if (second.value or b"") < (first.value or b""):
            first, second = second, first
        return VoteEquivocation(first, second)

    def _certify(self, type: VoteType, round: int, value: bytes) -> Certificate:
        signatures = tuple(
            (vote.validator, vote.signature) for vote in self.votes(type, round) if vote.value == value
        )
        return Certificate(type, self._height, round, value, signatures)

    def _keep_certificate(self, certificate: Certificate) -> None:
        if certificate.type is VoteType.PRECOMMIT:
            self._commit = self._commit or certificate
        elif certificate.round not in self._polkas and self._has_room_for_polka(certificate.round):
            self._polkas[certificate.round] = certificate
            if len(self._polkas) > POLKAS_MAX:
                del self._polkas[min(self._polkas)]

    def _has_room_for_polka(self, round: int) -> bool:
        return len(self._polkas) < POLKAS_MAX or round > min(self._polkas)


def _votes_of(certificate: Certificate) -> Iterator[Vote]:
    """The votes that a certificate is made of."""
    for validator, signature in certificate.signatures:
        yield Vote(
            certificate.type,
            certificate.height,
            certificate.round,
            certificate.value,
            validator,
            signature,
        )
