"""The paper's rules as a bystander checks them, by what honest validators sign and hear, apart from the code.

It sees every honest signature and knows nothing of engines: agreement says only that a break was lucky enough
to end in two decisions, these say that a rule was broken at all.
"""

from collections.abc import Mapping, Sequence

from consensus.messages import NO_POL, Evidence, Proposal, Validator, Vote, VoteType
from consensus.quorum import is_quorum, power_of, total_power
from consensus.rounds import RoundState

Place = tuple[int, int, VoteType]


class RuleBroken(AssertionError):
    """A run that breaks a rule of consensus; the text says which."""


class Rules:
    """What the whole cluster has signed, and may sign. The liar is taken to have voted for everything."""

    def __init__(
        self, validators: Sequence[Validator], liar: int | None, valid: Mapping[bytes, bool]
    ) -> None:
        self._validators = validators
        self._liar = liar
        self._valid = valid
        self._voters: dict[tuple[Place, bytes | None], set[int]] = {}
        self._lock: dict[tuple[int, int], tuple[int, bytes]] = {}  # by height and validator
        self._judged: dict[
            tuple[int, int, int], dict[tuple[int, bytes, int], bool]
        ] = {}  # by round and hearer

    def heard(self, hearer: int, life: int, proposal: Proposal, timely: bool) -> None:
        """Hear a proposal with a validator; in one life the first verdict on its time stands."""
        place = (proposal.height, proposal.round, hearer)
        self._judged.setdefault(place, {}).setdefault((life, proposal.value, proposal.pol_round), timely)

    def signed(self, vote: Vote) -> None:
        """Note what an honest validator signs. Raises RuleBroken."""
        place = (vote.height, vote.round, vote.type)
        self._voters.setdefault((place, vote.value), set()).add(vote.validator)
        if vote.value is None:
            return
        if not self._valid[vote.value]:
            raise RuleBroken(f"votes for an invalid block: {vote}")
        if vote.type is VoteType.PREVOTE:
            self._check_prevote(vote, vote.value)
        else:
            if not self._has_polka(vote.height, vote.round, vote.value):
                raise RuleBroken(f"precommits without a polka of its round (L36): {vote}")
            self._lock[(vote.height, vote.validator)] = (vote.round, vote.value)

    def check_lock(self, validator: int, state: RoundState) -> None:
        """Raises RuleBroken unless a validator is locked on what it precommitted last (L38-L39)."""
        lock = self._lock.get((state.height, validator), (NO_POL, None))
        if (state.locked_round, state.locked_value) != lock:
            raise RuleBroken(f"validator {validator} precommitted {lock} last, and stands at {state}")

    def _check_prevote(self, vote: Vote, value: bytes) -> None:
        judged = self._judged.get((vote.height, vote.round, vote.validator), {})
        offers = {(pol_round, timely) for (_, its, pol_round), timely in judged.items() if its == value}
        lock_round, locked = self._lock.get((vote.height, vote.validator), (NO_POL, value))
        fresh = locked == value and (NO_POL, True) in offers  # L22-L23
        rests = [
            pol for pol, _ in offers if 0 <= pol < vote.round and self._has_polka(vote.height, pol, value)
        ]
        if fresh or any(locked == value or lock_round <= pol_round for pol_round in rests):  # L28-L29
            return
        raise RuleBroken(
            f"prevotes {vote}, locked on {locked.hex()} since round {lock_round}, offered {offers}"
        )

    def _has_polka(self, height: int, round: int, value: bytes) -> bool:
        voters = set(self._voters.get(((height, round, VoteType.PREVOTE), value), ()))
        if self._liar is not None:
            voters.add(self._liar)
        return is_quorum(power_of(self._validators, voters), total_power(self._validators))


class Ears:
    """What one node hears, in one life, of validators that say two things, and whether it says so."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int, VoteType, int], bytes | None] = {}
        self._accused: set[tuple[int, int, VoteType, int]] = set()

    def hear(self, vote: Vote) -> bool:
        """Whether a vote that the engine has room for must lead to an accusation."""
        place = (vote.height, vote.round, vote.type, vote.validator)
        return self._first.setdefault(place, vote.value) != vote.value and place not in self._accused

    def accuse(self, evidence: Evidence) -> None:
        """Note that the engine reports evidence."""
        first = evidence.first
        if isinstance(first, Vote):
            self._accused.add((first.height, first.round, first.type, first.validator))

    def must_have_accused(self, vote: Vote) -> None:
        """Raises RuleBroken if nothing was reported of the place of `vote`."""
        if (vote.height, vote.round, vote.type, vote.validator) not in self._accused:
            raise RuleBroken(f"heard two votes in one place and said nothing: {vote}")
