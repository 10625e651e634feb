"""Transcripts: one engine among four, spoken to line by line, and what it answers, in words.

A transcript is a text of commands, each followed by `----` and what the engine did; lines with `#` are for
the reader. `python -m testing.transcripts` writes every answer anew: then read what changed.

    height 8 as mof [idle]                 the height begins; `idle`: no transactions wait
    proposal 1 V [pol 0] [untimely]        of the round's proposer; `proposal 1 V at 9` comes a height early
    prevote sbp,pvara 0 V                  votes of a round, for a value or `nil`; `precommit` likewise
    polka 0 V sbp,pvara,secp               a certificate of prevotes; `commit` of precommits; `with block`
    valid V | invalid V | built 1 V        answers to what the engine asked
    timeout propose 0                      start, propose, prevote, precommit, resend
    work                                   transactions wait
    signer off | signer on                 whether what is to be signed is signed, said and heard by ourselves
    restart                                a new engine from the log
    log                                    how many inputs are in the log
    state                                  round, step, lock and valid value
"""

import sys
from pathlib import Path

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
    TimeoutStep,
    VoteReceived,
    WorkAvailable,
)
from consensus.messages import (
    Certificate,
    Evidence,
    Proposal,
    Validator,
    Vote,
    VoteEquivocation,
    VoteType,
)
from consensus.proposer import proposer
from consensus.rounds import RoundState
from testing.engines import TIMING

FOLDER = Path(__file__).parents[1] / "tests" / "consensus" / "transcripts"
NAMES = ("mof", "sbp", "pvara", "secp")
SIGNED = b"s" * 64
DIVIDER = "----"


def play(text: str) -> str:
    """The transcript with every answer as the engine of today gives it."""
    told: list[str] = []
    stage = Stage()
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        commands = lines[: lines.index(DIVIDER)] if DIVIDER in lines else lines
        said = [line for command in commands if not command.startswith("#") for line in stage.do(command)]
        if all(command.startswith("#") for command in commands):
            told.append("\n".join(commands))
        else:
            told.append("\n".join([*commands, DIVIDER, *(said or ["nothing"])]))
    return "\n\n".join(told) + "\n"


class Stage:
    """The engine, its log, and who the four are."""

    def __init__(self) -> None:
        self._engine = Engine()
        self._log: list[Input] = []
        self._signing = True
        self._powers = (1, 1, 1, 1)
        self._me = 0

    def do(self, command: str) -> list[str]:
        """Carry out one command; returns what the engine did, a line for each effect."""
        word, *rest = command.split()
        match word, rest:
            case "height", [number, "as", me, *idle]:
                self._me = NAMES.index(me)
                self._log.clear()
                return self._hear(
                    HeightStarted(int(number), self._validators(), self._me, TIMING, idle != ["idle"])
                )
            case "powers", powers:
                self._powers = (int(powers[0]), int(powers[1]), int(powers[2]), int(powers[3]))
                return [f"powers {', '.join(map(' '.join, zip(NAMES, powers, strict=True)))}"]
            case "proposal", [round, value, *more]:
                return self._hear(self._proposal(int(round), value, more))
            case (("prevote" | "precommit"), [names, round, value, *more]):
                type, height = VoteType[word.upper()], self._height_of(more)
                votes = [
                    Vote(type, height, int(round), _value(value), NAMES.index(name), SIGNED)
                    for name in names.split(",")
                ]
                return [line for vote in votes for line in self._hear(VoteReceived(vote))]
            case (("polka" | "commit"), [round, value, names, *more]):
                type = VoteType.PREVOTE if word == "polka" else VoteType.PRECOMMIT
                signatures = tuple(sorted((NAMES.index(name), SIGNED) for name in names.split(",")))
                certificate = Certificate(type, self._engine.height, int(round), _block(value), signatures)
                return self._hear(CertificateReceived(certificate, more == ["with", "block"]))
            case (("valid" | "invalid"), [value]):
                return self._hear(BlockChecked(self._engine.height, _block(value), word == "valid"))
            case "built", [round, value]:
                return self._hear(BlockBuilt(self._engine.height, int(round), _block(value)))
            case "timeout", [step, round]:
                return self._hear(TimeoutFired(TimeoutStep[step.upper()], self._engine.height, int(round)))
            case "work", []:
                return self._hear(WorkAvailable(self._engine.height))
            case "signer", [("on" | "off") as switch]:
                self._signing = switch == "on"
                return [f"signer {switch}"]
            case "restart", []:
                return self._restart()
            case "log", []:
                return [f"the log holds {len(self._log)} inputs"]
            case "state", []:
                return [_state(self._engine.state)]
            case _:
                raise ValueError(f"no such command: {command}")

    def _validators(self) -> tuple[Validator, ...]:
        return tuple(Validator(bytes([number + 1]) * 32, power) for number, power in enumerate(self._powers))

    def _height_of(self, more: list[str]) -> int:
        return int(more[more.index("at") + 1]) if "at" in more else self._engine.height

    def _proposal(self, round: int, value: str, more: list[str]) -> ProposalReceived:
        height = self._height_of(more)
        pol_round = int(more[more.index("pol") + 1]) if "pol" in more else -1
        turn = proposer(self._validators(), height, round)
        proposal = Proposal(height, round, _block(value), pol_round, turn, SIGNED)
        return ProposalReceived(proposal, "untimely" not in more)

    def _hear(self, said: Input) -> list[str]:
        if self._engine.remembers(said):
            self._log.append(said)
        return self._perform(self._engine.step(said))

    def _restart(self) -> list[str]:
        self._engine = Engine()
        for said in self._log:
            self._engine.step(said)
        return self._perform(self._engine.resume())

    def _perform(self, effects: list[Effect]) -> list[str]:
        lines = [_effect(effect) for effect in effects]
        for effect in effects:
            match effect:
                case SignVote(vote=vote) if self._signing:
                    signed = Vote(vote.type, vote.height, vote.round, vote.value, vote.validator, SIGNED)
                    lines += self._hear(VoteReceived(signed))
                case SignProposal(proposal=offer) if self._signing:
                    said = Proposal(
                        offer.height, offer.round, offer.value, offer.pol_round, offer.proposer, SIGNED
                    )
                    lines += self._hear(ProposalReceived(said, True))
                case Redeliver(inputs=inputs):
                    for early in inputs:
                        lines += self._hear(early)
        return lines


# --- words ------------------------------------------------------------------------------------------------


def _effect(effect: Effect) -> str:
    match effect:
        case Persist(value=None):
            return "make the log durable"
        case Persist(value=value):
            return f"make the log durable, with the block of {_name(value)}"
        case SignProposal(proposal=proposal):
            return f"sign and say: {_message(proposal)}"
        case SignVote(vote=vote):
            return f"sign and say: {_message(vote)}"
        case Broadcast(message=message):
            return f"say again: {_message(message)}"
        case ScheduleTimeout():
            return (
                f"start timeout {effect.step.name.lower()} of round {effect.round}: {effect.duration_ms} ms"
            )
        case BuildBlock():
            return f"build a block for round {effect.round}"
        case CheckBlock(value=value):
            return f"check {_name(value)}"
        case Commit(value=value, certificate=certificate):
            return f"DECIDED {_name(value)}, by {_signers(certificate)} in round {certificate.round}"
        case ReportEvidence(evidence=evidence):
            return f"EVIDENCE: {_evidence(evidence)}"
        case Redeliver(inputs=inputs):
            return f"hear what came early, {len(inputs)} messages"
        case Diverged(value=value):
            return f"HALT: a quorum has decided {_name(value)}, which our own check calls invalid"


def _message(message: Proposal | Vote | Certificate) -> str:
    match message:
        case Proposal(pol_round=-1):
            return f"{NAMES[message.proposer]} proposes {_name(message.value)} in round {message.round}"
        case Proposal():
            proposed = f"{NAMES[message.proposer]} proposes {_name(message.value)} in round {message.round}"
            return f"{proposed}, resting on the polka of round {message.pol_round}"
        case Vote():
            verb = f"{message.type.name.lower()}s"
            return f"{NAMES[message.validator]} {verb} {_name(message.value)} in round {message.round}"
        case Certificate():
            word = "polka" if message.type is VoteType.PREVOTE else "commit"
            return f"{word} for {_name(message.value)} of round {message.round}, by {_signers(message)}"


def _evidence(evidence: Evidence) -> str:
    first, second = evidence.first, evidence.second
    both = f"both {_name(first.value)} and {_name(second.value)} in round {first.round}"
    if isinstance(evidence, VoteEquivocation):
        return f"{NAMES[evidence.first.validator]} {evidence.first.type.name.lower()}s {both}"
    return f"{NAMES[evidence.first.proposer]} proposes {both}"


def _signers(certificate: Certificate) -> str:
    return ", ".join(NAMES[signer] for signer, _ in certificate.signatures)


def _state(state: RoundState) -> str:
    def at(value: bytes | None, round: int) -> str:
        return "none" if value is None else f"{_name(value)} since round {round}"

    locked, valid = at(state.locked_value, state.locked_round), at(state.valid_value, state.valid_round)
    return f"round {state.round}, step {state.step.name.lower()}; locked: {locked}; valid: {valid}"


def _value(name: str) -> bytes | None:
    return None if name == "nil" else _block(name)


def _block(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


def _name(value: bytes | None) -> str:
    return "nil" if value is None else value.rstrip(b"\0").decode()


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.txt")):
        before = path.read_text(encoding="utf-8")
        after = play(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{path.name} changed: read it\n")
