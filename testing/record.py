"""Records the chain that every Python replays: `make record`, whenever bytes of the protocol change.

Keys, times and acts are the same each time. The chain lives a bill's life, then meets every kind once with
arbitrary payloads, which are refused for the most part, and texts that Pythons disagree about.
"""

import sys
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from ledger.kind import Signers
from ledger.kinds import BY_NAME
from ledger.release import NEWEST
from ledger.transactions import assemble, decode_transaction, encode_body
from node.sealed import open_block
from primitives.codec import pack
from testing import declared
from testing.little_chain import LittleChain, Market, live, officers, open_market
from testing.replay import RECORDED, Recording, Unfit, refusal_of, replay

# Texts at the edges of the alphabet, which any chain may hold.
TEXTS = ("Ža\u017e", "é" * 30, "\u0130", "\u06cc\u06d2", "p 1/2")
# No texts: letters, or cases and forms of them, of a later Unicode; marks, overrides and what has no width.
ODD = ("\u1c89", "\ua7cb\u0301", "e\u0301", "\u202eabc", "a\u200bb", "\u0130\u1e9e", "\U0001fae9")


def record() -> Recording:
    """The recorded chain, made anew."""
    with TemporaryDirectory() as folder:
        little = LittleChain(Path(folder))
        market = open_market(little)
        live(little, market)
        _texts(little)
        _every_kind(little, market)
        _offences(little)
        little.commit()
        blocks = tuple(_stored(little, height) for height in range(1, little.replica.height + 1))
        recording = Recording(
            little.genesis, blocks, little.replica.state_root, little.replica.results_root, _refused()
        )
        little.close()
    return recording


def kinds_of(recording: Recording) -> set[str]:
    """The names of all kinds that stand in its blocks."""
    raws = [raw for block in recording.blocks for raw in open_block(block).transactions]
    return {decode_transaction(raw).definition.name for raw in raws}


def _stored(little: LittleChain, height: int) -> bytes:
    raw = little.blocks.block(height)
    if raw is None:
        raise LookupError(f"the block of height {height} was not stored")
    return raw


def _refused() -> tuple[Unfit, ...]:
    kind = BY_NAME["programme_create"]
    raws = [assemble(encode_body(kind, [0], 1, 1, kind.payload(text, 1)), [bytes(64)]) for text in ODD]
    return tuple(Unfit(raw, refusal_of(raw)) for raw in raws)


def _texts(little: LittleChain) -> None:
    for text in TEXTS:
        voters = officers("mof", "sbp", "pvara")
        little.commit(
            little.transaction("parameter_set", voters, text, 1),
            little.transaction("parameter_set", voters, "evidence_age_blocks", (text,)),
            little.transaction("parameter_set", voters, "aml_registered_services", (text, text)),
            little.transaction("programme_create", voters, text, 1),
        )


def _every_kind(little: LittleChain, market: Market) -> None:
    for kind in BY_NAME.values():
        signers = officers("pvara", "sbp", "mof")
        if kind.signers is not Signers.OFFICERS:
            signers = market.vasp
        fields = msgspec.structs.astuple(specimen(kind.payload, kind.number))
        little.decide(little.build(little.transaction(kind.name, signers, *fields)))


def _offences(little: LittleChain) -> None:
    for name, height in (("secp", 3), ("sbp", 5), ("secp", 2)):
        little.decide(little.build(evidence=(little.equivocation(name, height),)))


def specimen(declared: Any, salt: int) -> Any:
    """Some value of a declared type."""
    metas: list[msgspec.Meta] = []
    if get_origin(declared) is Annotated:
        declared, *metas = get_args(declared)
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        hints = get_type_hints(declared, include_extras=True)
        return declared(*(specimen(hints[name], salt) for name in declared.__struct_fields__))
    if isinstance(declared, type) and issubclass(declared, IntEnum):
        return list(declared)[salt % len(declared)]
    if declared is int:
        return max(1, *(int(meta.ge or 0) for meta in metas))
    if declared is str:
        return TEXTS[salt % len(TEXTS)]
    if declared is bytes:
        return bytes([salt % 256]) * max(32, *(int(meta.min_length or 0) for meta in metas), 0)
    if get_origin(declared) is tuple:
        return (specimen(get_args(declared)[0], salt),)
    return specimen(get_args(declared)[0], salt)  # a union


def main() -> None:
    recording = record()
    data = pack(recording)
    replay(data)
    RECORDED.write_bytes(data)
    declared.write(NEWEST)
    missing = ", ".join(sorted(set(BY_NAME) - kinds_of(recording))) or "none"
    print(f"{RECORDED}: {len(recording.blocks)} blocks, {len(data)} bytes, kinds missing: {missing}")
    sys.exit(missing != "none")


if __name__ == "__main__":
    main()
