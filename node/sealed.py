"""A block with all that follows from its bytes, worked out once and handed on.

Whoever holds a `SealedBlock` need not decode, encode or hash it again: its bytes are the one encoding of the
block, its value is the hash of the header, and its body is the one that the header commits to. Whether the
block is valid as the next one is another question, which `node.replica` answers against the state.
"""

from collections.abc import Callable

from consensus.encoding import decode_evidence
from consensus.errors import VerificationError
from consensus.messages import Evidence
from ledger.codes import Refused
from ledger.transactions import Transaction, decode_transaction
from primitives.codec import CodecError
from wire.blocks import ANY, Block, BlockBounds, Header, decode_within, roots_fault

Known = Callable[[bytes], Transaction | None]


class SealedBlock:
    """Made by `open_block` or `seal`, which check what it promises."""

    __slots__ = ("_evidence", "_transactions", "block", "raw", "value")

    def __init__(self, block: Block, raw: bytes, value: bytes) -> None:
        self.block = block
        self.raw = raw
        self.value = value
        self._transactions: tuple[Transaction, ...] | None = None
        self._evidence: tuple[Evidence, ...] | None = None

    @property
    def header(self) -> Header:
        return self.block.header

    @property
    def height(self) -> int:
        return self.block.header.height

    @property
    def transactions(self) -> tuple[bytes, ...]:
        """The full bytes of every transaction."""
        return self.block.transactions

    @property
    def evidence(self) -> tuple[bytes, ...]:
        """The encodings of the evidence."""
        return self.block.evidence

    def decoded(self, known: Known = lambda raw: None) -> tuple[Transaction, ...]:
        """The transactions, decoded once; `known` gives those whose bytes were decoded before. Raises
        VerificationError naming the first that is none."""
        if self._transactions is None:
            decoded = []
            for position, raw in enumerate(self.block.transactions):
                try:
                    decoded.append(known(raw) or decode_transaction(raw))
                except Refused as refusal:
                    raise VerificationError(f"transaction {position}: {refusal}") from refusal
            self._transactions = tuple(decoded)
        return self._transactions

    def decoded_evidence(self) -> tuple[Evidence, ...]:
        """The evidence, decoded once. Raises VerificationError if a piece of it is none."""
        if self._evidence is None:
            try:
                self._evidence = tuple(map(decode_evidence, self.block.evidence))
            except CodecError as error:
                raise VerificationError(f"evidence: {error}") from error
        return self._evidence


def open_block(raw: bytes, bounds: BlockBounds = ANY) -> SealedBlock:
    """The block of these bytes. Raises CodecError or VerificationError if they are not one that is whole and
    within `bounds`."""
    block = decode_within(raw, bounds)
    fault = roots_fault(block)
    if fault is not None:
        raise VerificationError(fault)
    return SealedBlock(block, raw, block.header.hash())


def seal(block: Block, transactions: tuple[Transaction, ...] | None = None) -> SealedBlock:
    """A block that we made, whose header commits to its body; `transactions` are those of its bytes."""
    sealed = SealedBlock(block, block.encoded(), block.header.hash())
    sealed._transactions = transactions
    return sealed
