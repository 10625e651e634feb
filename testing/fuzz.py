"""Structured fuzzing of every decoder: `python -m testing.fuzz --cases N --seed S [--door NAME]`.

A door takes bytes from outside. Whatever comes, it answers or raises one of the errors it declares, holds
no more memory than its bound, and does work in proportion to what came. The corpus is the recorded chain and
one specimen of everything that is said; a case is one of them with a value changed, moved, nested or cut.
"""

import argparse
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import msgspec
from msgspec.structs import replace

from api.limits import REQUEST_BYTES_MAX
from api.reads import READS
from api.refusals import Declined
from api.requests import (
    BodyKind,
    FrameError,
    FrameReader,
    Request,
    Response,
    decode_request,
    decode_response,
    request_frame,
)
from client.receipts import verify_receipt
from client.transactions import BadPayload, as_object, payload_from_object
from client.trust import trust_genesis
from client.verification import ProofRefused, verify_proof
from config.errors import ConfigError
from config.genesis_file import genesis_to_toml, load_genesis
from config.pki import CertificateError, Identity, create_authority, issue_node, peer_identity, root_fault
from config.settings import load_gateway_settings, load_node_settings
from consensus.encoding import (
    decode_certificate,
    decode_evidence,
    decode_input,
    encode_certificate,
    encode_evidence,
    encode_input,
)
from consensus.encoding import decode_message as decode_consensus
from consensus.encoding import encode_message as encode_consensus
from consensus.errors import VerificationError
from consensus.events import BlockChecked, HeightStarted, TimeoutFired, TimeoutStep, VoteReceived
from consensus.messages import Certificate, Proposal, Vote, VoteEquivocation, VoteType
from ledger.codes import Refused
from ledger.kinds import BY_NAME
from ledger.transactions import decode_transaction
from node.proofs import finish_proof, make_receipt, start_proof
from node.sealed import open_block
from primitives.codec import CodecError, decode, encode, pack, unpack
from testing.engines import TIMING
from testing.limits import FUZZ_MEMORY_FACTOR, FUZZ_MEMORY_SPARE, RECORDING_BYTES_MAX
from testing.little_chain import LittleChain, live, open_market
from testing.record import specimen
from testing.replay import RECORDED, Recording
from wire.blocks import decode_block, decode_header
from wire.frames import Channel, FrameReceiver, FrameSender, PeerError
from wire.limits import BLOCK_BYTES_CAP
from wire.messages import (
    CertificateMessage,
    Hello,
    Message,
    ProposalMessage,
    Reception,
    Status,
    SyncRequest,
    SyncResponse,
    Transactions,
    VoteMessage,
    decode_message,
    encode_message,
)

Knock = Callable[[bytes], object]
BIG = 2**53


class Surprise(AssertionError):
    """A door that did something that it does not declare; the text says with what."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where bytes come in: what is good there, who opens, and the errors that say no."""

    corpus: tuple[bytes, ...]
    knock: Knock
    declared: tuple[type[Exception], ...]
    text: bool = False  # the bytes are lines of text and not an encoding


# --- what is good -----------------------------------------------------------------------------------------


@cache
def recording() -> Recording:
    """The recorded chain."""
    return unpack(RECORDED.read_bytes(), Recording, RECORDING_BYTES_MAX)


@cache
def _proofs() -> tuple[bytes, ...]:
    """Proofs of a holding, of an instrument and of absence, and receipts, of a chain of a moment."""
    with tempfile.TemporaryDirectory() as folder:
        little = LittleChain(Path(folder))
        try:
            live(little, open_market(little))
            proofs = []
            for table, record in (("holdings", 2), ("instruments", 0), ("holdings", 10**6)):
                started = start_proof(little.replica, table, record)
                little.commit()
                proof = finish_proof(started, little.blocks)
                if proof is not None:
                    proofs.append(proof)
            changes = little.replica.validator_changes()
            chain, blocks = little.replica.genesis_hash, little.blocks
            for height in range(1, little.replica.height):
                with suppress(Declined):  # acts of officers have none
                    proofs.append(make_receipt(blocks, chain, changes, height, 0).receipt)
        finally:
            little.close()
    return tuple(proofs)


def _said() -> list[Message]:
    value, signature = b"v" * 32, b"s" * 64
    return [
        Hello(1, value, "mof-1", 7, 1),
        Status(7, 2, 1),
        VoteMessage(1, 7, 0, value, 3, signature),
        ProposalMessage(7, 0, value, -1, 1, signature, recording().blocks[3]),
        CertificateMessage(2, 7, 0, value, ((0, signature), (2, signature))),
        Transactions((b"one", b"two")),
        SyncRequest(1, 64),
        SyncResponse(1, ((recording().blocks[0], b"certificate"),)),
        Reception("the name is in use twice"),
    ]


NODE_TOML = b"""name = "mof-1"
institution = "mof"
genesis = "genesis.toml"
data_dir = "data"
listen = "127.0.0.1:7640"
socket = "node.sock"
certificate = "node.crt"
certificate_key = "node.pem"

[[peers]]
name = "sbp-1"
institution = "sbp"
address = "127.0.0.1:7641"
"""
GATEWAY_TOML = b"""listen = "127.0.0.1:8640"
socket = "node.sock"
"""


@cache
def doors() -> dict[str, Door]:
    """Every door by name."""
    return {**_ledgers(), **_consensuses(), **_peers(), **_clients(), **_files()}


def _ledgers() -> dict[str, Door]:
    """Transactions, headers and blocks."""
    blocks = recording().blocks
    transactions = tuple(raw for block in blocks for raw in decode_block(block).transactions)
    headers = tuple(encode(msgspec.structs.astuple(decode_block(block).header)) for block in blocks[:8])
    return {
        "codec": Door(transactions, lambda data: decode(data, BLOCK_BYTES_CAP), (CodecError,)),
        "transaction": Door(transactions, decode_transaction, (Refused,)),
        "header": Door(headers, decode_header, (CodecError,)),
        "block": Door(blocks, decode_block, (CodecError,)),
        "sealed-block": Door(blocks, _open_whole, (CodecError, VerificationError)),
    }


def _consensuses() -> dict[str, Door]:
    """What consensus says and logs."""
    value, signature = b"v" * 32, b"s" * 64
    vote = Vote(VoteType.PREVOTE, 7, 0, value, 1, signature)
    proposal = Proposal(7, 1, value, 0, 2, signature)
    certificate = Certificate(VoteType.PRECOMMIT, 7, 0, value, ((0, signature), (1, signature)))
    evidence = VoteEquivocation(Vote(VoteType.PREVOTE, 7, 0, None, 1, signature), vote)
    inputs = (
        HeightStarted(7, (), 1, TIMING, True),
        VoteReceived(vote),
        TimeoutFired(TimeoutStep.PREVOTE, 7, 1),
        BlockChecked(7, value, True),
    )
    said = tuple(encode_consensus(message) for message in (vote, proposal, certificate))
    return {
        "consensus-message": Door(said, decode_consensus, (CodecError,)),
        "certificate": Door((encode_certificate(certificate),), decode_certificate, (CodecError,)),
        "evidence": Door((encode_evidence(evidence),), decode_evidence, (CodecError,)),
        "log": Door(tuple(encode_input(heard) for heard in inputs), decode_input, (CodecError,)),
    }


def _peers() -> dict[str, Door]:
    """What one node hears of another: messages by channel, frames, certificates."""
    sender = FrameSender()
    for message in _said():
        sender.push(*encode_message(message))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    authority = create_authority("mohur-test", "mof", now)
    node = issue_node(authority, Identity("mohur-test", "mof", "mof-1"), now)
    roots = {"mof": (authority.der,)}
    return {
        **{
            f"message-{channel.name.lower()}": Door(
                tuple(data for its, data in map(encode_message, _said()) if its is channel),
                partial(decode_message, channel),
                (PeerError,),
            )
            for channel in Channel
        },
        "frames": Door((sender.take(2**24),), lambda data: FrameReceiver().feed(data), (PeerError,)),
        "root-der": Door((authority.der,), root_fault, ()),
        "certificate-der": Door((node.der,), lambda data: peer_identity(data, roots), (CertificateError,)),
    }


def _clients() -> dict[str, Door]:
    """What a node hears of a gateway, a gateway of a node, a client of both, and an officer of a file."""
    trust = trust_genesis(recording().genesis)
    queries = tuple(
        request_frame(Request(number, name, pack(specimen(read.query, number))))
        for number, (name, read) in enumerate(READS.items())
    )
    payloads = tuple(
        msgspec.json.encode({"kind": name, "payload": _json(specimen(kind.payload, kind.number))})
        for name, kind in sorted(BY_NAME.items())
    )
    answer = pack(Response(1, BodyKind.ANSWER, b"body"))

    def proof(data: bytes) -> object:
        return verify_proof(data, trust, now_ms=BIG, max_age_ms=None, trusting_ms=None)

    def receipt(data: bytes) -> object:
        return verify_receipt(data, trust, now_ms=BIG, trusting_ms=None)

    return {
        "local-frames": Door(queries, _local, (FrameError, CodecError)),
        "response": Door((answer,), decode_response, (CodecError,)),
        "proof": Door(_proofs(), proof, (ProofRefused,)),
        "receipt": Door(_proofs(), receipt, (ProofRefused,)),
        "payload-json": Door(payloads, _payload, (BadPayload,), text=True),
    }


def _files() -> dict[str, Door]:
    """What operators write."""
    genesis = recording().genesis
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rooted = tuple(
        replace(one, ca_root=create_authority("mohur-test", one.name, now).der)
        for one in genesis.institutions
    )
    texts = {
        "genesis": (genesis_to_toml(replace(genesis, institutions=rooted)).encode(), load_genesis),
        "node": (NODE_TOML, load_node_settings),
        "gateway": (GATEWAY_TOML, load_gateway_settings),
    }
    return {
        f"{name}-toml": Door((text,), _file(load, f"{name}.toml"), (ConfigError,), text=True)
        for name, (text, load) in texts.items()
    }


def _open_whole(data: bytes) -> object:
    block = open_block(data)
    return block.decoded(), block.decoded_evidence()


def _local(data: bytes) -> None:
    for body in FrameReader(REQUEST_BYTES_MAX).feed(data):
        request = decode_request(body)
        if request.query in READS:
            unpack(request.body, READS[request.query].query, REQUEST_BYTES_MAX)


def _json(value: Any) -> Any:
    """A payload as a JSON object: bytes in hex, records as objects."""
    if isinstance(value, msgspec.Struct):
        return {name: _json(getattr(value, name)) for name in value.__struct_fields__}
    return as_object(value)


def _payload(data: bytes) -> object:
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # what reads JSON is a door of its own
    kind = said.get("kind") if isinstance(said, dict) else None
    return payload_from_object(kind, said["payload"]) if isinstance(kind, str) and "payload" in said else None


def _file(load: Callable[[Path], object], name: str) -> Knock:
    def knock(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            return load(path)

    return knock


# --- what is bad ------------------------------------------------------------------------------------------


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**53 + 1,
    2**63,
    2**64 - 1,
    -(2**63),
    1.5,
    b"",
    b"\0" * 33,
    b"x" * 5000,
    "",
    "\u202e",
    "a" * 300,
    "\x00",
    (),
    ((),) * 40,
    {},
    {"a": 1},
)


def cases(door: Door, seed: int, count: int) -> Iterator[bytes]:
    """Yields `count` inputs made of the door's corpus, the same for the same seed."""
    random = Random(seed)
    for _ in range(count):
        good = random.choice(door.corpus)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            changed = None if random.random() < 0.35 else _restructured(good, random, door.text)
            good = _raw(good, random, door.corpus) if changed is None else changed
        yield good


def _raw(data: bytes, random: Random, corpus: Sequence[bytes]) -> bytes:
    """Bytes flipped, cut, doubled, put in or taken from another."""
    at, to = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
    match random.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + random.randbytes(random.choice((1, 2, 4, 200))) + data[at:]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:to] + data[at:]
        case 4:
            other = random.choice(corpus)
            return data[:at] + other[random.randrange(len(other) + 1) :]
        case _:
            return data[:at] + bytes((random.randrange(256),)) + data[at + 1 :]


def _restructured(data: bytes, random: Random, text: bool) -> bytes | None:
    """The value with something inside it changed; None if it is no encoding."""
    head = b""
    try:
        if text:
            return msgspec.json.encode(_mutated(msgspec.json.decode(data), random), enc_hook=_plainly)
        try:
            value = msgpack.unpackb(data, raw=False, use_list=False)
        except (ValueError, TypeError):
            head, data = data[:4], data[4:]  # a length, then the encoding
            value = msgpack.unpackb(data, raw=False, use_list=False)
        packed: bytes = msgpack.packb(_mutated(value, random), use_bin_type=True)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        return None
    return (len(packed).to_bytes(4, "big") if head else b"") + packed


def _plainly(odd: Any) -> Any:
    return odd.hex() if isinstance(odd, bytes) else str(odd)


def _mutated(value: Any, random: Random, depth: int = 0) -> Any:
    """`value` with one place in it changed: an item, the encoding inside bytes, or the whole."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(sorted(value, key=str))
        return {**value, key: _mutated(value[key], random, depth + 1)}
    if isinstance(value, tuple | list) and value and random.random() < 0.9:
        items = list(value)
        at = random.randrange(len(items))
        match random.randrange(8):
            case 0:
                del items[at]
            case 1:
                items.insert(at, random.choice(ODD))
            case 2:
                items *= random.choice((2, 70, 300))
            case 3:
                other = random.randrange(len(items))
                items[at], items[other] = items[other], items[at]
            case _:
                items[at] = _mutated(items[at], random, depth + 1)
        return tuple(items)
    if isinstance(value, bytes) and value and random.random() < 0.5:
        inside = _restructured(value, random, text=False)
        return _raw(value, random, (value,)) if inside is None else inside
    if type(value) is int and random.random() < 0.5:
        return value + random.choice((-1, 1, 256, -value, 2**32))
    return random.choice(ODD)


# --- knocking ---------------------------------------------------------------------------------------------


def knock(name: str, door: Door, data: bytes) -> bool:
    """Whether the door opened to `data`. Raises Surprise if it answered otherwise than it declares."""
    try:
        door.knock(data)
    except door.declared:
        return False
    except Exception as error:
        raise Surprise(f"{name}: {type(error).__name__}: {error}: {data[:400].hex()}") from error
    return True


def heavy() -> Iterator[tuple[bytes, bytes]]:
    """Pairs of inputs that are large in one way, the second four times the first; each also as a head."""
    pairs = [
        *(
            (encode((item,) * 4_000), encode((item,) * 16_000))
            for item in (0, b"", b"ab", "", (), (0,), None)
        ),
        (encode(b"x" * 40_000), encode(b"x" * 160_000)),
        (b"\x01" * 4_000, b"\x01" * 16_000),
        (b"[[" * 2_000, b"[[" * 8_000),
    ]
    for small, large in pairs:
        yield small, large
        yield len(small).to_bytes(4, "big") + small, len(large).to_bytes(4, "big") + large


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the calls of functions, Python's and C's, until the end of the block."""
    calls = [0]

    def count(frame: object, event: str, argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def memory_of(name: str, door: Door, data: bytes) -> int:
    """The bytes that the door holds at most while it looks at `data`."""
    tracemalloc.start()
    try:
        knock(name, door, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def memory_bound(data: bytes) -> int:
    """What a door may hold while it looks at `data`."""
    return FUZZ_MEMORY_FACTOR * len(data) + FUZZ_MEMORY_SPARE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testing.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="cases for each door (100000)")
    parser.add_argument("--seed", type=int, default=0, help="the seed (0)")
    parser.add_argument("--door", choices=sorted(doors()), help="one door alone")
    options = parser.parse_args()
    surprises = 0
    for name, door in doors().items():
        if options.door not in (None, name):
            continue
        opened = 0
        for data in cases(door, options.seed, options.cases):
            try:
                opened += knock(name, door, data)
            except Surprise as surprise:
                surprises += 1
                print(surprise)
        print(f"{name}: {options.cases} cases, opened to {opened}")
    print(f"{surprises} surprises")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
