"""A whole cluster of engines in one thread under one seed: network, clocks, disks, crashes and a liar.

Time is a number that jumps from event to event. A node's log is durable only as far as its last Persist;
a crash may tear off the rest. Whatever breaks a rule of consensus raises `RuleBroken`.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random

from consensus.engine import Engine
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Broadcast,
    BuildBlock,
    CertificateReceived,
    CheckBlock,
    Commit,
    Diverged,
    Effect,
    HeightStarted,
    Input,
    Persist,
    ProposalReceived,
    Redeliver,
    ReportEvidence,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutFired,
    Timing,
    VoteReceived,
    WorkAvailable,
)
from consensus.limits import ROUNDS_KEPT
from consensus.messages import Certificate, Evidence, Proposal, Validator, Vote, VoteType
from consensus.quorum import is_quorum, power_of, total_power
from consensus.rounds import Step
from consensus.verification import accused
from testing.liars import LIES, Liar, Message, fake_signature
from testing.limits import ROUNDS_AFTER_FAULTS_MAX
from testing.rules import Ears, RuleBroken, Rules

TIMING = Timing(600, 200, 200, 100, 200, 100, 500, 1000)
END_MS = 200_000


@dataclass(frozen=True, slots=True)
class Crash:
    """Node `node` dies after its `effect`-th effect, keeps `tail_kept` percent of its unsynced log, and
    comes back after `down_ms`."""

    node: int
    effect: int
    down_ms: int
    tail_kept: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that a run depends on."""

    seed: int
    powers: tuple[int, ...] = (1, 1, 1, 1)
    heights: int = 1
    faults_end_ms: int = 3000
    loss_percent: int = 0
    duplicate_percent: int = 0
    delay_ms_max: int = 20
    untimely_percent: int = 0
    crashes: tuple[Crash, ...] = ()
    liar: int | None = None
    lie: str = "mixed"  # one of testing.liars.LIES
    observer: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    digest: str
    decisions: tuple[bytes, ...]
    rounds: tuple[int, ...]
    evidence: tuple[Evidence, ...]
    time_ms: int


def schedule_of(seed: int) -> Schedule:
    """A schedule drawn from one number: of every six one is a kingmaker's, and in one a validator sleeps
    while a liar keeps the others going from round to round; the rest is as chance will have it."""
    random = Random(seed)
    if seed % 6 == 4:
        return Schedule(seed, faults_end_ms=8000, liar=random.randrange(4), lie="kingmaker", delay_ms_max=20)
    if seed % 6 == 5:
        liar, sleeper = random.sample(range(4), 2)
        crash = Crash(sleeper, random.randrange(1, 9), 4000, random.choice((0, 100)))
        lie = random.choice(("nil_voter", "equivocator"))
        return Schedule(seed, faults_end_ms=4000, liar=liar, lie=lie, crashes=(crash,))
    powers = random.choice([(1, 1, 1, 1)] * 3 + [(10, 10, 10, 10), (3, 3, 2, 3), (2, 1, 1, 1, 2)])
    total = sum(powers)
    liars = [position for position, power in enumerate(powers) if 3 * power < total]
    crashes = tuple(
        Crash(
            random.randrange(len(powers)),
            random.randrange(1, 60),
            random.randrange(3000),
            random.choice((0, 50, 100)),
        )
        for _ in range(random.choice((0, 0, 1, 2, 4)))
    )
    return Schedule(
        seed,
        powers,
        heights=random.choice((1, 1, 2, 3)),
        faults_end_ms=random.choice((500, 2000, 5000)),
        loss_percent=random.choice((0, 10, 30, 60)),
        duplicate_percent=random.choice((0, 20)),
        delay_ms_max=random.choice((5, 100, 800)),
        untimely_percent=random.choice((0, 0, 30)),
        crashes=crashes,
        liar=random.choice(liars) if random.random() < 0.6 else None,
        observer=random.random() < 0.1,
        lie=random.choice(["mixed", *LIES]),
    )


def run(schedule: Schedule) -> Outcome:
    """Run a schedule to its end. Raises RuleBroken."""
    return Cluster(schedule).run()


class Cluster:
    """The world: an event queue, the network, and what everyone may check against."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.random = Random(schedule.seed)
        self.now_ms = 0
        self.validators = tuple(
            Validator(bytes([position + 1]) * 32, power) for position, power in enumerate(schedule.powers)
        )
        self.valid: dict[bytes, bool] = {}
        self.rules = Rules(self.validators, schedule.liar, self.valid)
        self.decided: dict[int, bytes] = {}
        self.decided_round: dict[int, int] = {}
        self.evidence: dict[tuple[int, int, int, int], Evidence] = {}
        self.faulty = True
        self.round_at_calm: dict[int, int] = {}
        self._decided_before_calm: set[int] = set(range(1, schedule.heights + 1))
        self._digest = sha256()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self.nodes: list[Node | Liar] = [
            Liar(self, position, schedule.lie)
            if position == schedule.liar
            else Node(self, position, position)
            for position in range(len(self.validators))
        ]
        self.liar = next((node for node in self.nodes if isinstance(node, Liar)), None)
        if schedule.observer:
            self.nodes.append(Node(self, len(self.nodes), None))
        self.honest = [node for node in self.nodes if isinstance(node, Node)]

    def run(self) -> Outcome:
        self.at(self.schedule.faults_end_ms, self._calm)
        for node in self.honest:
            self.at(self.random.randrange(50), node.start)
        while self._events and not all(node.done for node in self.honest):
            self.now_ms, _, action = heapq.heappop(self._events)
            if self.now_ms > END_MS:
                break
            action()
        heights = range(1, self.schedule.heights + 1)
        for node in self.honest:
            if not node.done:
                raise RuleBroken(
                    f"{node.where()} did not decide height {self.schedule.heights} in {END_MS} ms"
                )
        for height in heights:
            if height in self._decided_before_calm:
                continue
            floor = self.round_at_calm.get(height, 0)
            if self.decided_round[height] > floor + ROUNDS_AFTER_FAULTS_MAX:
                raise RuleBroken(
                    f"height {height} was in round {floor} when faults ceased, "
                    f"and was decided in round {self.decided_round[height]}"
                )
        return Outcome(
            self._digest.hexdigest(),
            tuple(self.decided[height] for height in heights),
            tuple(self.decided_round[height] for height in heights),
            tuple(self.evidence[key] for key in sorted(self.evidence)),
            self.now_ms,
        )

    @property
    def everyone(self) -> range:
        return range(len(self.nodes))

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._number, action))

    def note(self, *what: object) -> None:
        """Into the hash of everything that happened."""
        self._digest.update(repr((self.now_ms, *what)).encode())

    def send(self, sender: int, receiver: int, message: Message, with_block: bool = False) -> None:
        schedule, random = self.schedule, self.random
        copies = 1
        delay_ms_max = 20
        if self.faulty:
            if self.liar is not None and self.liar.holds(sender, receiver, message):
                return
            if random.randrange(100) < schedule.loss_percent:
                return
            copies += random.randrange(100) < schedule.duplicate_percent
            delay_ms_max = schedule.delay_ms_max
        target = self.nodes[receiver]
        for _ in range(copies):
            self.at(1 + random.randrange(delay_ms_max), lambda: target.receive(sender, message, with_block))

    def new_block(self, height: int, by: int, valid: bool) -> bytes:
        value = sha256(repr((height, by, valid, len(self.valid))).encode()).digest()
        self.valid[value] = valid
        return value

    def is_timely(self) -> bool:
        return not (self.faulty and self.random.randrange(100) < self.schedule.untimely_percent)

    def decide(self, node: "Node", commit: Commit) -> None:
        certificate = commit.certificate
        signers = [signer for signer, _ in certificate.signatures]
        if not is_quorum(power_of(self.validators, signers), total_power(self.validators)):
            raise RuleBroken(f"{node.where()} decided without a quorum: {certificate}")
        if signers != sorted(set(signers)) or certificate.type is not VoteType.PRECOMMIT:
            raise RuleBroken(f"{node.where()} decided by a malformed certificate: {certificate}")
        for signer, signature in certificate.signatures:
            vote = Vote(VoteType.PRECOMMIT, commit.height, certificate.round, commit.value, signer)
            if signature != fake_signature(vote):
                raise RuleBroken(f"{node.where()} decided by a signature that {signer} did not give")
        if not self.valid[commit.value]:
            raise RuleBroken(f"{node.where()} decided an invalid block")
        other = self.decided.setdefault(commit.height, commit.value)
        if other != commit.value:
            raise RuleBroken(
                f"two decisions at height {commit.height}: {other.hex()} and {commit.value.hex()}"
            )
        first = self.decided_round.setdefault(commit.height, certificate.round)
        self.decided_round[commit.height] = min(first, certificate.round)

    def accuse(self, node: "Node", evidence: Evidence) -> None:
        if accused(evidence) != self.schedule.liar:
            raise RuleBroken(f"{node.where()} accuses an honest validator: {evidence}")
        if fake_signature(evidence.first) != evidence.first.signature or evidence.first == evidence.second:
            raise RuleBroken(f"{node.where()} reports evidence that proves nothing: {evidence}")
        first = evidence.first
        sort = int(first.type) if isinstance(first, Vote) else 0
        key = (first.height, first.round, sort, accused(evidence))
        self.evidence.setdefault(key, evidence)

    def _calm(self) -> None:
        """Faults cease: what is sent arrives, who is down comes back, the liar falls silent."""
        self.faulty = False
        self._decided_before_calm = set(self.decided)
        for node in self.honest:
            node.crashes.clear()
            if node.down:
                node.start()
            if node.me is None:
                self._sync(node)
        for node in self.honest:
            height = node.engine.height
            self.round_at_calm[height] = max(self.round_at_calm.get(height, 0), node.engine.round)

    def _sync(self, observer: "Node") -> None:
        """An observer never speaks in consensus, so nobody hears that it is behind: it asks, as sync does."""
        for node in self.honest:
            if node is not observer:
                node.answer_past(observer.engine.height, observer.position)
        self.at(300, lambda: self._sync(observer))


class Node:
    """An honest validator, or an observer, with its log, its blocks and its signer."""

    def __init__(self, cluster: Cluster, position: int, me: int | None) -> None:
        self.cluster = cluster
        self.position = position
        self.me = me
        self.engine = Engine()
        self.down = True
        self.crashes = deque(
            sorted(
                (c for c in cluster.schedule.crashes if c.node == position), key=lambda crash: crash.effect
            )
        )
        self._life = 0
        self._effects_done = 0
        self._log: list[tuple[int, Input]] = []
        self._log_durable = 0
        self._blocks: set[bytes] = set()
        self._blocks_durable: set[bytes] = set()
        self._chain: list[tuple[bytes, Certificate]] = []
        self._ears = Ears()
        self._signed: tuple[tuple[int, int, int], Proposal | Vote] | None = None
        self._all_signed: dict[tuple[int, int, int], Proposal | Vote] = {}

    @property
    def done(self) -> bool:
        return len(self._chain) >= self.cluster.schedule.heights and not self.down

    def where(self) -> str:
        state = self.engine.state
        place = f"{state.height}/{state.round} {state.step.name}"
        return f"node {self.position} at {self.cluster.now_ms} ms ({place})"

    def start(self) -> None:
        """Start, or start again from what the disk holds."""
        if not self.down:
            return
        self.down = False
        self.engine = Engine()
        self._ears = Ears()
        height = len(self._chain) + 1
        inputs = [input for logged, input in self._log if logged == height]
        for input in inputs:
            for effect in self.engine.step(input):
                if isinstance(effect, ReportEvidence):
                    self._ears.accuse(effect.evidence)
        if inputs:
            self._perform(self.engine.resume())
        elif height <= self.cluster.schedule.heights:
            self._next_height()

    def receive(self, sender: int, message: Message, with_block: bool) -> None:
        if self.down:
            return
        if message.height <= len(self._chain):
            if not isinstance(message, Certificate):
                self.answer_past(message.height, sender)
            return
        match message:
            case Proposal():
                self._blocks.add(message.value)
                self.feed(ProposalReceived(message, self.cluster.is_timely()))
            case Vote():
                self.feed(VoteReceived(message))
            case Certificate():
                if with_block:
                    self._blocks.add(message.value)
                self.feed(CertificateReceived(message, with_block))

    def answer_past(self, height: int, receiver: int) -> None:
        """Tell whoever is behind what a node tells him: the certificate and the block of a height it has
        decided."""
        if height <= len(self._chain):
            self.cluster.send(self.position, receiver, self._chain[height - 1][1], with_block=True)

    def feed(self, input: Input) -> None:
        """Log the input, step it, and perform what comes back."""
        height = input.height if isinstance(input, HeightStarted) else self.engine.height
        if self.engine.remembers(input):
            self._log.append((height, input))
        self.cluster.note(self.position, input)
        life, contradiction = self._life, self._hears_two(input)
        self._perform(self.engine.step(input))
        if self._life == life and not self.down:
            if contradiction is not None:
                self._ears.must_have_accused(contradiction)
            if self.me is not None:
                self.cluster.rules.check_lock(self.me, self.engine.state)

    def _hears_two(self, input: Input) -> Vote | None:
        """Let the rules hear what the engine is about to; returns a vote that proves a lie."""
        height, round = self.engine.height, self.engine.round
        deaf = self.engine.state.step is Step.COMMIT
        match input:
            case ProposalReceived(proposal=proposal, timely=timely) if proposal.height == height:
                if self.me is not None:
                    self.cluster.rules.heard(self.me, self._life, proposal, timely)
            case VoteReceived(vote=vote) if vote.height == height and not deaf:
                if round - ROUNDS_KEPT <= vote.round <= round + 1 and self._ears.hear(vote):
                    return vote
        return None

    def _perform(self, effects: list[Effect]) -> None:
        answers: list[Input] = []
        for effect in effects:
            self._perform_one(effect, answers)
            self._effects_done += 1
            if self.crashes and self._effects_done >= self.crashes[0].effect:
                self._die(self.crashes.popleft())
                return
        life = self._life
        for answer in answers:
            if self._life == life and not self.down:
                self.feed(answer)

    def _perform_one(self, effect: Effect, answers: list[Input]) -> None:
        cluster = self.cluster
        match effect:
            case Persist(value=value):
                self._log_durable = len(self._log)
                self._blocks_durable |= self._blocks
                if value is not None and value not in self._blocks_durable:
                    raise RuleBroken(f"{self.where()} stands by a block that it does not hold")
            case SignProposal(proposal=proposal):
                signed = self._sign((proposal.height, proposal.round, 0), proposal, proposal.value)
                if isinstance(signed, Proposal):
                    answers.append(ProposalReceived(signed, True))
                    self._send_all(signed)
            case SignVote(vote=vote):
                binding = vote.value if vote.type is VoteType.PRECOMMIT else None
                signed = self._sign((vote.height, vote.round, int(vote.type)), vote, binding)
                if isinstance(signed, Vote):
                    answers.append(VoteReceived(signed))
                    self._send_all(signed)
            case Broadcast(message=message):
                if self.me is None:
                    raise RuleBroken(f"{self.where()}: an observer speaks")
                self._send_all(message)
            case ScheduleTimeout(step=step, height=height, round=round, duration_ms=duration_ms):
                self._later(duration_ms, TimeoutFired(step, height, round))
            case BuildBlock(height=height, round=round):
                value = cluster.new_block(height, self.position, valid=True)
                self._later(cluster.random.randrange(1, 40), BlockBuilt(height, round, value), value)
            case CheckBlock(height=height, value=value):
                if value not in self._blocks:
                    raise RuleBroken(f"{self.where()} asks to check a block that is not at hand")
                self._later(
                    cluster.random.randrange(1, 20), BlockChecked(height, value, cluster.valid[value])
                )
            case Commit():
                self._commit(effect)
            case ReportEvidence(evidence=evidence):
                self._ears.accuse(evidence)
                cluster.accuse(self, evidence)
            case Redeliver(inputs=inputs):
                answers.extend(inputs)
            case Diverged():
                raise RuleBroken(f"{self.where()} diverged: {effect}")

    def _sign(
        self, slot: tuple[int, int, int], message: Proposal | Vote, binding: bytes | None
    ) -> Proposal | Vote | None:
        """The signer: the same signature for the same bytes, silence for what lies behind."""
        if self.me is None:
            raise RuleBroken(f"{self.where()}: an observer signs")
        if self._log_durable != len(self._log):
            raise RuleBroken(f"{self.where()} signs before its log is durable: {message}")
        if binding is not None and binding not in self._blocks_durable:
            raise RuleBroken(f"{self.where()} signs before the block is durable: {message}")
        before = self._all_signed.setdefault(slot, message)
        if before != message:
            raise RuleBroken(f"{self.where()} would sign twice at {slot}: {before} and {message}")
        if self._signed is not None and self._signed[0] > slot:
            return None
        self._signed = (slot, message)
        if isinstance(message, Vote):
            self.cluster.rules.signed(message)
        return replace(message, signature=fake_signature(message))

    def _send_all(self, message: Message) -> None:
        for receiver in range(len(self.cluster.nodes)):
            if receiver != self.position:
                self.cluster.send(self.position, receiver, message)

    def _later(self, delay_ms: int, input: Input, block: bytes | None = None) -> None:
        life = self._life

        def arrive() -> None:
            if self._life == life and not self.down:
                if block is not None:
                    self._blocks.add(block)
                self.feed(input)

        self.cluster.at(delay_ms, arrive)

    def _commit(self, commit: Commit) -> None:
        if commit.height != len(self._chain) + 1:
            raise RuleBroken(f"{self.where()} commits height {commit.height} after {len(self._chain)}")
        self.cluster.decide(self, commit)
        self._chain.append((commit.value, commit.certificate))
        life = self._life

        def next_height() -> None:
            if self._life == life and not self.down and len(self._chain) < self.cluster.schedule.heights:
                self._next_height()

        self.cluster.at(self.cluster.random.randrange(1, 30), next_height)

    def _next_height(self) -> None:
        height, random = len(self._chain) + 1, self.cluster.random
        self.feed(HeightStarted(height, self.cluster.validators, self.me, TIMING, random.random() < 0.6))
        if random.random() < 0.3:
            self._later(random.randrange(1200), WorkAvailable(height))

    def _die(self, crash: Crash) -> None:
        self.down = True
        self._life += 1
        unsynced = len(self._log) - self._log_durable
        kept = self._log_durable + unsynced * crash.tail_kept // 100
        if crash.tail_kept == 0:
            self._blocks = set(self._blocks_durable)
        self._log = self._log[:kept]
        self._log_durable = kept
        self._blocks_durable = set(self._blocks)
        self.cluster.note(self.position, crash)
        self.cluster.at(crash.down_ms, self.start)
