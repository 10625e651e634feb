"""What makes a transaction fit for a block: its signatures, sequence and expiry, its lane and its novelty.

These are rules of block validity, checked against the state before the block and the header's time; all else
is decided at execution. Callers that verified the very same bytes before may skip the signatures.
"""

from ledger import parameters, window
from ledger.codes import Code, Refused
from ledger.cost import cost_of
from ledger.enrolment import check_in_use
from ledger.kind import Lane
from ledger.state import Readable
from ledger.transactions import Transaction, sign_input
from ledger.versions import Rules
from primitives.signatures import verify


def check_envelope(
    state: Readable,
    tx: Transaction,
    genesis_hash: bytes,
    header_time_ms: int,
    rules: Rules,
    verified: bool = False,
) -> None:
    """Refuse `tx` if it could not stand in a block of this time that follows these rules. `verified`: its
    full bytes were verified against this chain before."""
    check_version(rules, tx)
    check_signers(state, tx)
    check_cost(state, tx, rules)
    check_expiry(tx, header_time_ms, parameters.number(state, "expiry_horizon_s"))
    try:
        check_sequence(tx, *_window(state, tx.signers[0]))
    except Refused:
        if not verified:  # which sequences a key has used is told to that key alone
            check_signatures(state, tx, genesis_hash)
        raise
    if not verified:
        check_signatures(state, tx, genesis_hash)


def check_version(rules: Rules, tx: Transaction) -> None:
    """Refuse what is of a version to come, of a kind that the version in force does not have as such, or
    above its limits."""
    if tx.version > rules.version:
        raise Refused(Code.UNKNOWN_VERSION, "version", tx.version, rules.version)
    if rules.kinds.get(tx.kind) is not tx.definition:
        raise Refused(Code.UNKNOWN_VERSION, "version", tx.version, rules.version, tx.kind)
    limits = rules.limits
    if len(tx.raw) > limits.transaction_bytes:
        raise Refused(Code.LIMIT_EXCEEDED, "transaction", len(tx.raw), limits.transaction_bytes)
    if len(tx.signers) > limits.signers:
        raise Refused(Code.LIMIT_EXCEEDED, "signatures", len(tx.signers), limits.signers)


def check_signers(state: Readable, tx: Transaction) -> None:
    """Refuse a signer index that no key has, and a key that is retired."""
    for signer in tx.signers:
        if signer >= len(state.signers):
            raise Refused(Code.UNKNOWN_SIGNER, "signers", signer)
        check_in_use(state, signer)


def check_signatures(state: Readable, tx: Transaction, genesis_hash: bytes) -> None:
    """Refuse unless every signer signed this body for this chain."""
    message = sign_input(genesis_hash, tx.body)
    for signer, signature in zip(tx.signers, tx.signatures, strict=True):
        if not verify(state.signers.field(signer, "public_key"), message, signature):
            raise Refused(Code.BAD_SIGNATURE, "signatures", signer)


def check_cost(state: Readable, tx: Transaction, rules: Rules) -> None:
    """Refuse what costs more than a whole block may."""
    cost, limit = cost_of(state, tx, rules), parameters.number(state, "block_cost")
    if cost > limit:
        raise Refused(Code.LIMIT_EXCEEDED, "cost", cost, limit)


def check_expiry(tx: Transaction, header_time_ms: int, horizon_s: int) -> None:
    """Refuse what has expired, or expires farther ahead than the horizon."""
    if tx.valid_until * 1_000 < header_time_ms:
        raise Refused(Code.EXPIRED, "valid_until", tx.valid_until, header_time_ms)
    if tx.valid_until * 1_000 > header_time_ms + horizon_s * 1_000:
        raise Refused(Code.EXPIRY_TOO_FAR, "valid_until", tx.valid_until, horizon_s, header_time_ms)


def check_sequence(tx: Transaction, highest: int, bitmap: int) -> None:
    """Refuse a sequence that the first signer's window does not allow."""
    code = window.check(highest, bitmap, tx.sequence)
    if code is not Code.OK:
        raise Refused(code, "sequence", tx.sequence, highest)


class BlockAdmission:
    """Admits the transactions of one block in order, each as if those before it had used their sequences."""

    def __init__(self, state: Readable, header_time_ms: int, rules: Rules) -> None:
        self._state = state
        self._rules = rules
        self._header_time_ms = header_time_ms
        self._horizon_s = parameters.number(state, "expiry_horizon_s")
        self._acts_quota = parameters.number(state, "acts_quota")
        self._cost_max = parameters.number(state, "block_cost")
        self._windows: dict[int, tuple[int, int]] = {}
        self._ids: set[bytes] = set()
        self._lane = Lane.ACTS
        self._acts = 0
        self.cost = 0  # of what was admitted

    @property
    def is_full(self) -> bool:
        """Whether not even the cheapest transaction fits."""
        limits = self._rules.limits
        return self.cost + limits.transaction_cost + limits.signature_cost > self._cost_max

    def admit(self, tx: Transaction) -> None:
        """Take `tx` as the block's next. Raises Refused as `check` does, and then nothing changed."""
        self.check(tx)
        self.take(tx)

    def check(self, tx: Transaction) -> None:
        """Refuse `tx` if it may not be the block's next; signatures are the caller's (`check_signatures`)."""
        check_version(self._rules, tx)
        lane = tx.definition.lane
        if lane < self._lane:
            raise Refused(Code.LANE_ORDER, "kind", tx.kind)
        if lane is Lane.ACTS and self._acts >= self._acts_quota:
            raise Refused(Code.LIMIT_EXCEEDED, "acts_quota", self._acts)
        if tx.id in self._ids:
            raise Refused(Code.REPEATED, "transaction", tx.id)
        check_signers(self._state, tx)
        cost = cost_of(self._state, tx, self._rules)
        if self.cost + cost > self._cost_max:
            raise Refused(Code.LIMIT_EXCEEDED, "block_cost", cost, self.cost + cost, self._cost_max)
        check_expiry(tx, self._header_time_ms, self._horizon_s)
        check_sequence(tx, *self._window(tx.signers[0]))

    def take(self, tx: Transaction) -> None:
        """Count `tx`, which `check` let pass, as the block's next."""
        signer, lane = tx.signers[0], tx.definition.lane
        self._windows[signer] = window.use(*self._window(signer), tx.sequence)
        self._ids.add(tx.id)
        self._lane = lane
        self._acts += lane is Lane.ACTS
        self.cost += cost_of(self._state, tx, self._rules)

    def _window(self, signer: int) -> tuple[int, int]:
        return self._windows.get(signer) or _window(self._state, signer)


def _window(state: Readable, signer: int) -> tuple[int, int]:
    return state.signers.field(signer, "highest"), state.signers.field(signer, "bitmap")
