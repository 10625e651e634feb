"""The signer's memory: the one rule that keeps a validator from signing two things for one step.

It lives in an environment of its own beside the key, outside backup, snapshot and pruning. What is to be
signed is claimed first: the decision and its record are one durable transaction, and only then is the key
asked. So no two things for one step ever reach the key, wherever it is and whenever the node dies; the same
thing may reach it again, and Ed25519 gives the same signature for it.
"""

from dataclasses import dataclass
from pathlib import Path

from primitives.codec import CodecError, decode, encode
from storage.environment import MAP_BYTES, Environment, Faults, Reader, Table, Writer
from storage.errors import DoubleSignRefused, SignerUninitialised, StorageCorrupt, StorageError
from storage.limits import SIGN_BYTES_MAX


@dataclass(frozen=True, slots=True)
class SignedState:
    """The last thing that the key was, or was about to be, asked to sign."""

    height: int
    round: int
    step: int
    sign_bytes: bytes


def _place(key: bytes) -> str:
    return f"the {key.decode()}"


SIGNER = Table("signer", _place)
_FLOOR = b"floor height"
_LAST = b"last signature"


class SignerStore:
    """The signer environment. Each method is one transaction and may be called from a worker thread."""

    def __init__(self, path: Path, *, map_bytes: int = MAP_BYTES, faults: Faults | None = None) -> None:
        self._environment = Environment(path, "signer", (SIGNER,), map_bytes=map_bytes, faults=faults)

    def initialise(self, floor_height: int) -> None:
        """Take the operator's word that this key has signed nothing at or above `floor_height`.

        Raises StorageError for a floor below 1 or below the one that is set: a floor only rises.
        """
        with self._environment.write() as writer:
            floor = _floor(writer)
            if floor_height < 1 or (floor is not None and floor_height < floor):
                raise StorageError(f"signer: floor height {floor_height} is below {floor or 1}")
            writer.put(SIGNER, _FLOOR, encode(floor_height))

    def floor(self) -> int | None:
        """The floor height, or None while the signer is uninitialised."""
        with self._environment.read() as reader:
            return _floor(reader)

    def last(self) -> SignedState | None:
        """What was signed last, or None."""
        with self._environment.read() as reader:
            return _last(reader)

    def claim(self, height: int, round_number: int, step: int, sign_bytes: bytes) -> None:
        """Make durable that this step signs `sign_bytes` and nothing else; then the key may be asked.

        The same step and bytes may be claimed again. Raises SignerUninitialised without a floor, and
        DoubleSignRefused below the floor, before the last step claimed, or for other bytes in the same step.
        """
        with self._environment.write() as writer:
            if _is_new(writer, height, round_number, step, sign_bytes):
                _record(writer, SignedState(height, round_number, step, sign_bytes))

    def close(self) -> None:
        self._environment.close()


def _is_new(reader: Reader, height: int, round_number: int, step: int, sign_bytes: bytes) -> bool:
    """Whether the step is later than the last one claimed; False for the very same. Raises if it may not be
    claimed."""
    asked = f"height {height} round {round_number} step {step}"
    if len(sign_bytes) > SIGN_BYTES_MAX:
        raise DoubleSignRefused(asked, f"{len(sign_bytes)} bytes to sign, the limit is {SIGN_BYTES_MAX}")
    floor = _floor(reader)
    if floor is None:
        raise SignerUninitialised
    if height < floor:
        raise DoubleSignRefused(asked, f"the operator set the floor at height {floor}")
    last = _last(reader)
    if last is None:
        return True
    position, signed = (height, round_number, step), (last.height, last.round, last.step)
    if position > signed:
        return True
    if position < signed:
        raise DoubleSignRefused(
            asked, f"height {last.height} round {last.round} step {last.step} is already signed"
        )
    if sign_bytes != last.sign_bytes:
        raise DoubleSignRefused(asked, "other bytes are already signed for this very step")
    return False


def _record(writer: Writer, state: SignedState) -> None:
    value = encode([state.height, state.round, state.step, state.sign_bytes])
    writer.put(SIGNER, _LAST, value)


def _floor(reader: Reader) -> int | None:
    stored = reader.get(SIGNER, _FLOOR)
    if stored is None:
        return None
    try:
        floor = decode(stored, 16)
    except CodecError as error:
        raise StorageCorrupt("signer", _place(_FLOOR), str(error)) from error
    if type(floor) is not int:
        raise StorageCorrupt("signer", _place(_FLOOR), "not a height")
    return floor


def _last(reader: Reader) -> SignedState | None:
    stored = reader.get(SIGNER, _LAST)
    if stored is None:
        return None
    try:
        return SignedState(*decode(stored, SIGN_BYTES_MAX + 256))
    except (CodecError, TypeError) as error:
        raise StorageCorrupt("signer", _place(_LAST), str(error)) from error
