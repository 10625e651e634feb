"""docs/protocol.md read by a stranger: its bytes and rules written out again, sharing no code with ours."""

import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256
from math import gcd
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from consensus import proposer as our_proposer
from consensus import quorum
from consensus import verification as consensus_verification
from consensus.messages import Proposal, Validator, VoteType
from ledger import agenda, postings, proofs, schedule, terms, transactions, versions, window
from ledger import genesis as our_genesis
from ledger import parameters as our_parameters
from ledger.codes import Code
from ledger.genesis import Genesis, GenesisInstitution, GenesisNode
from ledger.kinds.transfer import KIND as TRANSFER
from ledger.state import State
from ledger.tables import DocumentTable
from ledger.terms import discount
from node.proofs import finish_proof, make_receipt, start_proof
from primitives import codec
from testing import version2
from testing.little_chain import LittleChain, Market, open_market
from wire.blocks import Header

# --- sections 1 to 3, from the document -----------------------------------------------------------------


def encode(value: Any) -> bytes:
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return encode_integer(value)
        case bytes():
            return _sized(len(value), (0xC4, 0xC5, 0xC6)) + value
        case str():
            text = value.encode()
            short = bytes([0xA0 | len(text)]) if len(text) < 32 else _sized(len(text), (0xD9, 0xDA, 0xDB))
            return short + text
        case list() | tuple():
            size = len(value)
            if size < 16:
                head = bytes([0x90 | size])
            else:
                head = struct.pack(">BH", 0xDC, size) if size < 2**16 else struct.pack(">BI", 0xDD, size)
            return head + b"".join(encode(item) for item in value)
    raise TypeError(type(value))


def encode_integer(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return struct.pack("b", value)
    formats = (
        [(0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")]
        if value > 0
        else [(0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q")]
    )
    for code, layout in formats:
        try:
            return bytes([code]) + struct.pack(layout, value)
        except struct.error:
            continue
    raise OverflowError(value)


def _sized(size: int, codes: tuple[int, int, int]) -> bytes:
    if size < 2**8:
        return struct.pack(">BB", codes[0], size)
    return struct.pack(">BH", codes[1], size) if size < 2**16 else struct.pack(">BI", codes[2], size)


def tagged(tag: str, *parts: bytes) -> bytes:
    return sha256(f"mohur/1/{tag}".encode() + b"\0" + b"".join(parts)).digest()


def top_and_depth(leaves: Sequence[bytes]) -> tuple[bytes, int]:
    row, level = list(leaves), 0
    while len(row) > 1:
        level += 1
        row = [
            tagged("node", bytes([level]), b"".join(row[at : at + 16]).ljust(512, b"\0"))
            for at in range(0, len(row), 16)
        ]
    return (row[0] if row else bytes(32)), level


def leaf(table: int, number: int, content: bytes) -> bytes:
    return tagged("leaf", bytes([table]), struct.pack(">Q", number), content)


def table_root(table: int, width: int, count: int, leaves: Sequence[bytes]) -> bytes:
    top, depth = top_and_depth(leaves)
    return tagged("table", bytes([table]), struct.pack(">IQB", width, count, depth), top)


def list_root(kind: str, items: Sequence[bytes]) -> bytes:
    top, depth = top_and_depth([leaf(0, number, item) for number, item in enumerate(items)])
    return tagged(f"list/{kind}", struct.pack(">QB", len(items), depth), top)


def plain(record: Any) -> Any:
    """A record as the document writes it: the array of its fields, nested ones too."""
    match record:
        case msgspec.Struct():
            tag = record.__struct_config__.tag  # of one of several variants, as terms are
            fields = [plain(getattr(record, name)) for name in record.__struct_fields__]
            return fields if tag is None else [tag, *fields]
        case list() | tuple():
            return [plain(item) for item in record]
        case int() if not isinstance(record, bool):
            return int(record)
    return record


# --- a small chain -----------------------------------------------------------------------------------------


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


def public(number: int) -> bytes:
    return key(number).public_key().public_bytes_raw()


NAMES = ("mof", "sbp", "pvara", "secp", "fmu")


@pytest.fixture(scope="module")
def genesis() -> Genesis:
    return Genesis(
        version=1,
        chain="mohur-paper",
        chain_class="development",
        time_ms=1_700_000_000_000,
        institutions=tuple(
            GenesisInstitution(
                name,
                name.upper(),
                name != "fmu",
                2,
                tuple(public(100 + 10 * place + number) for number in range(3)),
                b"DER",
            )
            for place, name in enumerate(NAMES)
        ),
        nodes=tuple(
            GenesisNode(name, name, public(1 + place), 10, "validator")
            for place, name in enumerate(NAMES[:4])
        ),
        policies=our_genesis.default_policies(),
        parameters=(("idle_ms", 2_000),),
        treasury="mof",
    )


@pytest.fixture(scope="module")
def state(genesis: Genesis) -> State:
    return our_genesis.create_state(genesis)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(max_size=100),
    lambda inner: st.lists(inner, max_size=20),
    max_leaves=30,
)


@given(values)
def test_the_encoding(value: Any) -> None:
    assert codec.encode(value) == encode(value)


def test_the_genesis_hash(genesis: Genesis) -> None:
    assert our_genesis.genesis_hash(genesis) == tagged("genesis", encode(plain(genesis)))


def test_the_state_root_of_genesis(genesis: Genesis, state: State) -> None:
    none, forever = 2**32 - 1, 2**32 - 1
    roots = {}
    for table in state.tables:
        if isinstance(table, DocumentTable):
            number = table.number
            leaves = [leaf(number, place, encode(plain(record))) for place, record in enumerate(table)]
            roots[number] = table_root(number, 0, len(leaves), leaves)
    assert [plain(record) for record in state.versions] == [[1, 1, 2, 0]]
    account = struct.pack(
        "<II32sIHBBIIII", none, 0, bytes(32), forever, 0, 0, 3, none, 0, 0, 0
    )  # the treasury's: institution 0
    roots[13] = table_root(13, 64, 1, [leaf(13, 0, account.ljust(16 * 64, b"\0"))])
    roots[14] = table_root(14, 32, 0, [])
    signers = [
        struct.pack("<32sBBHIIIQQ", officer, 1, number, 0, place, 0, 0, 0, 0)
        for place, institution in enumerate(genesis.institutions)
        for number, officer in enumerate(institution.officers)
    ]
    signers += [
        struct.pack("<32sBBHIIIQQ", node.public_key, 4, 0, 0, place, 0, 0, 0, 0)
        for place, node in enumerate(genesis.nodes)
    ]
    halves = [b"".join(signers[start : start + 16]).ljust(16 * 64, b"\0") for start in (0, 16)]
    roots[15] = table_root(15, 64, 15 + 4, [leaf(15, place, rows) for place, rows in enumerate(halves)])
    roots[17] = table_root(17, 24, 0, [])
    assert list(state.table_roots()) == sorted(roots.items())
    pairs = (struct.pack(">B", number) + root for number, root in sorted(roots.items()))
    assert state.root() == tagged("state", struct.pack(">I", 1), *pairs)


def test_what_an_upgrade_writes(genesis: Genesis) -> None:
    """Section 15 by hand: the records of a genesis, as they must be after the block that enters version 2."""
    before = our_genesis.create_state(genesis)
    records = {
        table.number: [plain(record) for record in table]
        for table in before.tables
        if isinstance(table, DocumentTable)
    }
    roots = dict(before.table_roots())
    records[2] = [[*record, f"{record[0]} serves"] for record in records[2]]  # one field more
    records[1].append(["greeting_characters_max", 32])
    records[4].append(["greet", 2, [0, 1]])  # any one of mof and sbp
    records[16] = [[1, 1, 3, 0], [2, 9, 2, 3]]
    records[200] = []
    for number in (1, 2, 4, 16, 200):
        leaves = [leaf(number, place, encode(record)) for place, record in enumerate(records[number])]
        roots[number] = table_root(number, 0, len(leaves), leaves)
    with version2.known():
        state = our_genesis.create_state(genesis)
        schedule.schedule(state, 2, 9, 3)
        versions.begin_block(state, 9, 1_700_000_009_000)
        state.rehash()
        assert list(state.table_roots()) == sorted(roots.items())
        pairs = (struct.pack(">B", number) + root for number, root in sorted(roots.items()))
        assert state.root() == tagged("state", struct.pack(">I", 2), *pairs)
        shown = [[name, plain(value)] for name, value in records[1]]
        assert our_parameters.parameters_hash(state) == tagged("params", encode(shown))


def test_the_hash_of_the_parameters(state: State) -> None:
    pairs = [[record.name, plain(record.value)] for record in state.parameters]
    assert ["idle_ms", 2_000] in pairs
    ours = our_parameters.parameters_hash(state)
    assert ours == tagged("params", encode(pairs))


def test_a_transactions_bytes_and_hashes(genesis: Genesis) -> None:
    body = encode([1, 1, [7, 9], 5, 1_700_000_600, 3, 4, 2**40])
    input = b"mohur/1/tx\0" + tagged("genesis", encode(plain(genesis))) + body
    signatures = [key(101).sign(input), key(102).sign(input)]
    raw = encode([body, signatures[0] + signatures[1]])
    ours = transactions.decode_transaction(raw)
    assert (ours.signers, ours.sequence, ours.valid_until) == ((7, 9), 5, 1_700_000_600)
    assert ours.id == tagged("tx", body)
    assert ours.full_hash == tagged("txfull", raw)
    assert transactions.sign_input(our_genesis.genesis_hash(genesis), body) == input
    payload = TRANSFER.payload(3, 4, 2**40)
    assert transactions.encode_body(TRANSFER, (7, 9), 5, 1_700_000_600, payload) == body
    assert transactions.assemble(body, signatures) == raw


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ([1, 1, 2**32 - 2, 2**16 - 1, 2**32 - 1, 2**32 - 2, 2**32 - 2, 2**32 - 1], 100),
        ([1, 1, 2**32 - 2, 2**32 - 1, 2**32 - 1, 2**32 - 2, 2**32 - 2, 2**63 - 1], 106),
    ],
)
def test_the_size_of_a_single_transfer(body: list[Any], size: int) -> None:
    raw = encode([encode(body), bytes(64)])
    assert len(raw) == size
    assert transactions.decode_transaction(raw).raw == raw


def test_a_blocks_id_and_roots() -> None:
    fields = [
        1,
        bytes([8]) * 32,
        7,
        1_700_000_000_123,
        bytes(32),
        2,
        list_root("tx", [b"a", b"b"]),
        list_root("evidence", []),
    ]
    fields += [6, bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32, bytes([4]) * 32, bytes([5]) * 32]
    assert Header(*fields).hash() == tagged("header", encode(fields))


def movements_and_changes(blocks: int) -> tuple[bytes, bytes]:
    """So many postings and events, and seven more of each."""
    moved = b"".join(struct.pack("<IHHIIQ", n, 1, 0, n, n + 1, n + 1) for n in range(blocks * 256 + 7))
    changed = b"".join(struct.pack("<IIHHIQQ", 2**31 + n, 0, 5, 1, n, 1, 6) for n in range(blocks * 256 + 7))
    return moved, changed


@pytest.mark.parametrize("blocks", [0, 1, 17])
def test_the_results_root(blocks: int) -> None:
    moved, changed = movements_and_changes(blocks)
    results = [encode([0, "", "", "", [1, 2], b""]), encode([407, "amount", "5", "why", [], b""])]
    lists = [
        list_root("result", results),
        list_root("posting", [moved[at : at + 256 * 24] for at in range(0, len(moved), 256 * 24)]),
        list_root("event", [changed[at : at + 256 * 32] for at in range(0, len(changed), 256 * 32)]),
    ]
    assert postings.results_root(results, moved, changed) == tagged("results", *lists)
    again = postings.Stream()
    for n in range(blocks * 256 + 7):
        again.begin_transaction(n)
        again.post(postings.Movement.TRANSFER, n, n + 1, n + 1)
    assert again.postings() == moved


def test_what_validators_sign(genesis: Genesis) -> None:
    chain = our_genesis.genesis_hash(genesis)
    value = bytes([9]) * 32
    for type, tag in ((VoteType.PREVOTE, b"prevote"), (VoteType.PRECOMMIT, b"precommit")):
        for said in (value, None):
            ours = consensus_verification.vote_sign_bytes(type, 300, 70_000, said, chain)
            assert ours == b"mohur/1/" + tag + b"\0" + chain + encode([300, 70_000, said])
    proposal = Proposal(300, 2, value, -1, 0)
    ours = consensus_verification.proposal_sign_bytes(proposal, chain)
    assert ours == b"mohur/1/proposal\0" + chain + encode([300, 2, value, -1])


def proposer(powers: Sequence[int], height: int, round: int) -> int:
    divisor = gcd(*powers)
    places = [place for place, power in enumerate(powers) for _ in range(power // divisor)]
    total = len(places)
    golden = max(1, total * 618_034 // 1_000_000)
    stride = min(
        (number for number in range(1, 2 * total + 2) if gcd(number, total) == 1),
        key=lambda number: (abs(number - golden), number),
    )
    return places[(height + round) * stride % total]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(1, 2**40), st.integers(0, 50))
def test_the_proposer_and_the_hash_of_the_set(powers: list[int], height: int, round: int) -> None:
    members = tuple(Validator(bytes([place]) * 32, power) for place, power in enumerate(powers))
    assert our_proposer.proposer(members, height, round) == proposer(powers, height, round)
    pairs = [[bytes([place]) * 32, power] for place, power in enumerate(powers)]
    assert quorum.validators_hash(members) == tagged("validators", encode(pairs))


@given(st.lists(st.integers(1, 300), max_size=120))
def test_the_window(sequences: list[int]) -> None:
    used: set[int] = set()
    highest, ours = 0, (0, 0)
    for sequence in sequences:
        if sequence > highest + 64:
            verdict = Code.SEQUENCE_AHEAD
        elif highest - sequence >= 64:
            verdict = Code.SEQUENCE_STALE
        else:
            verdict = Code.SEQUENCE_USED if sequence in used else Code.OK
        assert window.check(*ours, sequence) is verdict
        if verdict is Code.OK:
            used.add(sequence)
            highest = max(highest, sequence)
            ours = window.use(*ours, sequence)


@given(st.integers(0, 10_000_000), st.integers(1, 3_660))
def test_the_price_of_a_bill(yield_e6: int, days: int) -> None:
    above, below = 10**6 * 10**6 * 365, 10**6 * 365 + yield_e6 * days
    assert discount.price_e4(yield_e6, days) == (2 * above + below) // (2 * below)


def test_the_figures_of_the_auction_of_march_2013() -> None:
    assert discount.price_e4(93_784, 84) == 978_873
    bill = discount.Discount(500_000, 0, 84, 93_784)
    costs = [terms.cost_minor(bill, units, 978_873) for units in (1, 2)]
    assert costs == [units * 500_000 * 978_873 // 10**6 for units in (1, 2)] == [489_436, 978_873]


@given(st.integers(1, 2**63 - 1), st.integers(0, 49_710), st.integers(0, 49_710), st.integers(0, 10_000_000))
def test_the_bytes_of_terms(face: int, issued: int, matures: int, yield_e6: int) -> None:
    bill = discount.Discount(face, issued, matures, yield_e6)
    assert codec.pack(bill) == encode([2, face, issued, matures, yield_e6])
    assert codec.pack(terms.Cash()) == encode([1])
    assert terms.closes_ms(bill) == matures * 86_400_000 - 18_000_000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.integers(0, 9)), max_size=20), st.data())
def test_the_rows_of_the_agenda_and_their_order(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Rows by hand, in the order of due time, number of what, index; those cancelled are left out."""
    whole = State.empty()
    for due_ms, what, subject in rows:
        agenda.schedule(whole, due_ms, agenda.What(what), subject)
    cancelled = data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0)))) if rows else set()
    for row in sorted(cancelled):
        agenda.cancel(whole, row, 9)
    written = [
        struct.pack(
            "<QHHIII", due_ms, what, 4 if row in cancelled else 1, subject, 0, 9 if row in cancelled else 0
        )
        for row, (due_ms, what, subject) in enumerate(rows)
    ]
    assert whole.agenda.rows().tobytes() == b"".join(written)
    order = sorted((due_ms, what, row) for row, (due_ms, what, _) in enumerate(rows) if row not in cancelled)
    assert whole.due.pending() == [row for _, _, row in order]


def test_a_proof_of_a_record(state: State) -> None:
    """Record 3 of the table of nodes, proved by hand, believed by ours; and one bit later refused."""
    content = encode(plain(state.nodes[3]))
    leaves = [leaf(3, place, encode(plain(node))) for place, node in enumerate(state.nodes)]
    top, depth = top_and_depth(leaves)
    shown = proofs.Leaf(3, content, (b"".join(leaves).ljust(512, b"\0"),))
    proof = proofs.StateProof(1, 3, 0, 4, depth, top, shown, state.table_roots())
    assert proofs.proven_record(proof, 3, state.root()) == state.nodes[3]
    bent = msgspec.structs.replace(shown, content=content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(proofs.ProofError):
        proofs.proven_record(msgspec.structs.replace(proof, leaf=bent), 3, state.root())
    absent = msgspec.structs.replace(proof, leaf=None)
    assert proofs.proven_record(absent, 4, state.root()) is None


# --- section 13, from the document --------------------------------------------------------------------------

HEIGHT, TIME, PARENT, TXS_ROOT, EXECUTED, STATE_ROOT, RESULTS_ROOT = 2, 3, 4, 6, 8, 9, 10  # of a header
VALIDATORS_HASH, NEXT_VALIDATORS_HASH = 11, 12


def read(encoded: bytes) -> Any:
    """What is encoded, if it is encoded in the one way there is."""
    value = msgspec.msgpack.decode(encoded)
    assert encode(value) == encoded
    return value


def decided(certified: Any, members: Sequence[Any], chain: bytes) -> list[Any]:
    """The header, which a quorum of these has decided."""
    encoded, certificate = certified
    header: list[Any] = read(encoded)
    assert header[1] == chain
    assert header[VALIDATORS_HASH] == tagged("validators", encode(members))
    number, type, height, round, value, signatures = read(certificate)
    assert (number, type, height, value) == (3, 2, header[HEIGHT], tagged("header", encoded))
    signed = b"mohur/1/precommit\0" + chain + encode([height, round, value])
    for place, signature in signatures:
        Ed25519PublicKey.from_public_bytes(members[place][0]).verify(signature, signed)
    places = [place for place, _ in signatures]
    assert places == sorted(set(places))
    assert 3 * sum(members[place][1] for place in places) > 2 * sum(power for _, power in members)
    return header


def led_to(changes: Any, certified: Any, genesis: Genesis) -> list[Any]:
    """The certified header, reached from the validators of the genesis."""
    chain = tagged("genesis", encode(plain(genesis)))
    members: list[Any] = [[node.public_key, node.power] for node in genesis.nodes if node.power > 0]
    height = 0
    for last, following in changes:
        header = decided(last, members, chain)
        assert header[HEIGHT] > height
        assert header[NEXT_VALIDATORS_HASH] == tagged("validators", encode(following))
        height, members = header[HEIGHT], following
    header = decided(certified, members, chain)
    assert header[HEIGHT] > height
    return header


def climbed(number: int, hashed: bytes, path: Sequence[bytes]) -> bytes:
    for level, group in enumerate(path, start=1):
        slot = number % 16
        assert group[32 * slot : 32 * slot + 32] == hashed
        hashed, number = tagged("node", bytes([level]), group), number // 16
    assert number == 0
    return hashed


def record_shown(proof: bytes, genesis: Genesis) -> bytes | None:
    """The bytes of the record that is proven, or None if it is proven that there is none."""
    version, chain, record, changes, certified, of_state = read(proof)
    assert (version, chain) == (1, tagged("genesis", encode(plain(genesis))))
    header = led_to(changes, certified, genesis)
    version, table, width, count, depth, top, shown, roots = of_state
    numbers = [number for number, _ in roots]
    assert numbers == sorted(set(numbers))
    pairs = (bytes([number]) + root for number, root in roots)
    assert tagged("state", struct.pack(">I", version), *pairs) == header[STATE_ROOT]
    shape = tagged("table", bytes([table]), struct.pack(">IQB", width, count, depth), top)
    assert shape == dict(roots)[table]
    assert (record < count) == (shown is not None)
    if shown is None:
        return None
    number, content, path = shown
    assert len(path) == depth
    assert climbed(number, leaf(table, number, content), path) == top
    assert number == (record // 16 if width else record)
    assert not width or len(content) == 16 * width
    start = record % 16 * width
    return bytes(content[start : start + width] if width else content)


def entry_shown(receipt: bytes, genesis: Genesis) -> tuple[bytes, Any] | None:
    """The transaction and its result, or None if it is proven that the block has none at the position."""
    version, chain, position, count, depth, top, entry, encoded, changes, certified = read(receipt)
    assert (version, chain) == (1, tagged("genesis", encode(plain(genesis))))
    after, header = led_to(changes, certified, genesis), read(encoded)
    assert after[PARENT] == tagged("header", encoded)
    assert tagged("list/tx", struct.pack(">QB", count, depth), top) == header[TXS_ROOT]
    assert (position < count) == (entry is not None)
    if entry is None:
        return None
    transaction, transaction_path, result, result_path, postings_root, events_root = entry
    assert after[EXECUTED] == header[HEIGHT]
    tops = [
        tagged(
            f"list/{kind}",
            struct.pack(">QB", count, len(path)),
            climbed(position, leaf(0, position, item), path),
        )
        for kind, item, path in (
            ("tx", transaction, transaction_path),
            ("result", result, result_path),
        )
    ]
    assert tops[0] == header[TXS_ROOT]
    assert tagged("results", tops[1], postings_root, events_root) == after[RESULTS_ROOT]
    return transaction, read(result)


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LittleChain, Market, int]]:
    """A chain over two changes of its validators, and the height of a block of three transfers after them."""
    little = LittleChain(tmp_path_factory.mktemp("proven"))
    market = open_market(little)
    for power in (0, 2):
        little.set_power(3, power)
        little.commit()
    little.commit()
    little.act("cash_issue", ("sbp",), market.money, 4_711, b"d" * 32)
    transfers = [
        little.transaction("transfer", market.vasp, market.money, market.wallets[0], amount)
        for amount in (11, 2**40, 13)
    ]
    little.commit(*transfers)
    height = little.replica.height
    yield little, market, height
    little.close()


def proof_of(little: LittleChain, table: str, record: int) -> bytes:
    started = start_proof(little.replica, table, record)
    little.commit()
    proof = finish_proof(started, little.blocks)
    assert proof is not None
    return proof


def test_records_of_any_table_and_their_absence_are_verified(
    proven: tuple[LittleChain, Market, int],
) -> None:
    little, market, _ = proven
    state = little.replica.state
    holding = record_shown(proof_of(little, "holdings", market.money), little.genesis)
    row = state.holdings[market.money]
    assert holding == struct.pack("<IIQQII", *row)
    assert row.balance == 4_711 - 24
    for table, record in (("instruments", market.bill), ("vasps", 0), ("nodes", 4), ("institutions", 2)):
        document = record_shown(proof_of(little, table, record), little.genesis)
        assert document == encode(plain(getattr(state, table)[record]))
    for table in state.tables:
        assert record_shown(proof_of(little, table.name, len(table) + 1), little.genesis) is None


def test_receipts_and_the_absence_of_transactions_are_verified(
    proven: tuple[LittleChain, Market, int],
) -> None:
    little, _, height = proven
    changes = little.replica.validator_changes()
    little.commit()
    block = little.blocks.block(height)
    assert block is not None
    _, raws, _ = read(block)
    chain = tagged("genesis", encode(plain(little.genesis)))
    for position, code in ((0, 0), (1, 400), (2, 0)):
        reply = make_receipt(little.blocks, chain, changes, height, position)
        shown = entry_shown(reply.receipt, little.genesis)
        assert shown is not None
        assert (shown[0], shown[1][0]) == (raws[position], code)
    reply = make_receipt(little.blocks, chain, changes, height, 3)
    assert entry_shown(reply.receipt, little.genesis) is None
    assert not reply.exists
