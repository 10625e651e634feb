"""What a kind of transaction is, and what its check and effect may ask while it runs.

A kind is one module in `ledger.kinds` that ends in `KIND = Kind(...)`. `check` raises Refused and writes
nothing; `apply` runs after it, writes, and returns the indices of the records it created. Governed kinds
are proposed and approved under the policy of their name; direct kinds take effect at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import NONE, Vasp
from ledger.release import FIRST
from ledger.rows import NO_ROW, Role, Signer
from ledger.schema import Payload

if TYPE_CHECKING:
    from ledger.state import State
    from ledger.transactions import Transaction
    from ledger.versions import Rules

RowCodes = npt.NDArray[np.uint16]


class Lane(IntEnum):
    """Where in a block a transaction stands: acts of institutions before everything else."""

    ACTS = 0
    TRANSFERS = 1


class Signers(Enum):
    """Who may sign a kind; the roles are of keys, and `many` allows more than one signer."""

    OFFICERS = (frozenset({Role.OFFICER}), True)
    VASP = (frozenset({Role.SETTLEMENT}), False)
    HOLDER = (frozenset({Role.SETTLEMENT, Role.OWNER}), False)  # whoever moves the account

    @property
    def roles(self) -> frozenset[Role]:
        return self.value[0]

    @property
    def many(self) -> bool:
        return self.value[1]


Subject = tuple[str | int | bytes, ...]  # a topic, and what of it: ("vasp", 3), ("code", "PKR")
Subjects = Callable[["State", Any], tuple[Subject, ...]]


def none(state: "State", payload: Any) -> tuple[Subject, ...]:
    """No subjects."""
    return ()


def subject(topic: str, *fields: str) -> Subjects:
    """The one subject of a topic, told from others of it by what these fields of the payload hold."""

    def found(state: "State", payload: Any) -> tuple[Subject, ...]:
        return ((topic, *(getattr(payload, field) for field in fields)),)

    return found


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of transaction; `number` is protocol and is never given a second meaning.

    `payload` is the Struct whose fields follow the envelope in the body. `governed` says that the act needs
    the approvals that the policy of this `name` asks for: its proposals rest on the subjects of `rests_on`
    and keep those of `claims` (names, codes and keys that it would take) for their institution; one that
    takes effect moves those of `moves`, and its claims (`ledger.proposals`). `cost` is that of the worst
    it can do (`ledger.cost`), of a governed act with its effect. The versions of the protocol
    from `since` to `until` (None: still) have it; another payload from some version on is another
    declaration.
    """

    number: int
    name: str
    lane: Lane
    signers: Signers
    payload: type[Payload]
    check: Callable[["Context", Any], None]
    apply: Callable[["Context", Any], tuple[int, ...]]
    cost: Cost
    governed: bool = False
    rests_on: Subjects = none
    claims: Subjects = none
    moves: Subjects | None = None  # None: what it rests on
    completes: Callable[[Any], int] | None = None  # the proposal whose effect it may bring about
    since: int = FIRST
    until: int | None = None


class Context:
    """The block and transaction within which a kind runs.

    `time_ms` is ledger time, the same for a whole block; `header_time_ms` is the header's; `proposal` the
    index of the proposal whose effect runs, or NONE; `rules` are those of the version of the protocol that
    the block follows.
    """

    __slots__ = (
        "header_time_ms",
        "height",
        "proposal",
        "row_codes",
        "rules",
        "signers",
        "state",
        "time_ms",
        "tx",
    )

    def __init__(
        self,
        state: "State",
        tx: "Transaction",
        height: int,
        time_ms: int,
        header_time_ms: int,
        rules: "Rules",
    ) -> None:
        self.state = state
        self.rules = rules
        self.tx = tx
        self.height = height
        self.time_ms = time_ms
        self.header_time_ms = header_time_ms
        self.signers: tuple[Signer, ...] = tuple(state.signers[index] for index in tx.signers)
        self.row_codes: bytes = b""
        self.proposal = NONE

    @property
    def time_s(self) -> int:
        """Ledger time in whole seconds, as rights that end are compared with it."""
        return self.time_ms // 1_000

    @property
    def signer(self) -> int:
        """The index of the first signer, whose sequence is used."""
        return self.tx.signers[0]

    def authorise(self, kind: Kind) -> None:
        """Refuse unless the signers have the roles that `kind` asks for."""
        authorise(kind, self.tx.signers, [signer.role for signer in self.signers])

    def vasp(self) -> tuple[int, Vasp]:
        """The VASP whose settlement key signed. Raises Refused(not_authorised) if it was another key."""
        signer = self.signers[0]
        if signer.role != Role.SETTLEMENT:
            raise Refused(Code.NOT_AUTHORISED, "signers.role", self.signer, Role.SETTLEMENT)
        return signer.owner, self.state.vasps[signer.owner]

    def signing_vasp(self) -> int:
        """The index of the VASP whose settlement key signed, or rows.NO_ROW."""
        signer = self.signers[0]
        return signer.owner if signer.role == Role.SETTLEMENT else NO_ROW

    def officers(self) -> tuple[tuple[int, int], ...]:
        """Every signer with its institution, as (signer, institution). Raises Refused(not_authorised) if one
        is no officer."""
        for index, signer in zip(self.tx.signers, self.signers, strict=True):
            if signer.role != Role.OFFICER:
                raise Refused(Code.NOT_AUTHORISED, "signers.role", index, Role.OFFICER)
        return tuple(
            (index, signer.owner) for index, signer in zip(self.tx.signers, self.signers, strict=True)
        )

    def report_rows(self, codes: RowCodes) -> None:
        """Give each row of a batch its own result code; nothing is kept when all are OK."""
        self.row_codes = codes.astype("<u2").tobytes() if codes.any() else b""


def authorise(kind: Kind, signers: Sequence[int], roles: Sequence[int]) -> None:
    """Refuse unless the signers, who have these roles, are such as `kind` asks for."""
    if len(signers) > 1 and not kind.signers.many:
        raise Refused(Code.NOT_AUTHORISED, "signatures", len(signers), kind.number)
    for index, role in zip(signers, roles, strict=True):
        if role not in kind.signers.roles:
            raise Refused(Code.NOT_AUTHORISED, "signers", index, kind.number)
