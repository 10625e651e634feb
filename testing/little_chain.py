"""A real chain in one process: genesis, keys, signed transactions, and blocks with commit certificates."""

from dataclasses import dataclass, field
from pathlib import Path

from consensus.messages import Certificate, Vote, VoteEquivocation, VoteType
from consensus.verification import vote_sign_bytes
from ledger import terms
from ledger.calendar import day_of
from ledger.documents import NodeRole, Register
from ledger.enrolment import proof_input
from ledger.genesis import Genesis, GenesisInstitution, GenesisNode, default_policies, genesis_hash
from ledger.kinds import BY_NAME
from ledger.kinds.account_open import AccountRow
from ledger.rows import Role
from ledger.terms.discount import Discount
from ledger.transactions import Transaction, assemble, decode_transaction, encode_body, sign_input
from node.chain import AppliedBlock, Chain
from node.replica import Replica
from node.sealed import SealedBlock
from primitives.signatures import sign
from storage.blocks import BlockStore
from storage.environment import Faults
from storage.index import SHAPE, MovementIndex, Shape
from storage.state import StateStore
from testing.keys import key, public

START_MS = 1_700_000_000_000
INSTITUTIONS = ("mof", "sbp", "pvara", "secp", "fmu")
VOTING = INSTITUTIONS[:4]
OFFICERS = 3
ISIN = "PK0012345671"
UNITS = 1_000
DAY_MS = 86_400_000


def officers(*institutions: str, count: int = 2) -> dict[int, str]:
    """The signers and key names of so many officers of each institution."""
    return {
        INSTITUTIONS.index(name) * OFFICERS + number: f"{name} officer {number}"
        for name in institutions
        for number in range(count)
    }


def make_genesis(**changes: object) -> Genesis:
    """Four validators, five institutions; `changes` replace fields."""
    fields: dict[str, object] = {
        "version": 1,
        "chain": "little",
        "chain_class": "development",
        "time_ms": START_MS,
        "institutions": tuple(
            GenesisInstitution(
                name, name.upper(), name in VOTING, 2,
                tuple(public(f"{name} officer {number}") for number in range(OFFICERS)),
                b"root of " + name.encode(),
            )
            for name in INSTITUTIONS
        ),
        "nodes": (
            *(GenesisNode(name, name, public(f"{name} node"), 1, "validator") for name in VOTING),
            GenesisNode("watcher", "mof", public("watcher node"), 0, "observer"),
        ),
        "policies": default_policies(),
        "parameters": (("losable_nodes_min", 0), ("losable_institutions_min", 0)),
        "treasury": "mof",
    }  # fmt: skip
    return Genesis(**(fields | changes))  # type: ignore[arg-type]


def rows_of(*rows: tuple[int, int, int]) -> bytes:
    return b"".join(
        one.to_bytes(4, "little") + other.to_bytes(4, "little") + number.to_bytes(8, "little")
        for one, other, number in rows
    )


@dataclass
class LittleChain:
    """One node's chain, and everybody's keys."""

    folder: Path
    genesis: Genesis = field(default_factory=make_genesis)
    faults: Faults | None = None
    sequences: dict[int, int] = field(default_factory=dict)
    shape: Shape = SHAPE  # of the index of movements

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.blocks = BlockStore(self.folder / "blocks", faults=self.faults)
        try:
            self.index = MovementIndex(self.folder / "index", genesis_hash(self.genesis), shape=self.shape)
            self.states = StateStore(self.folder / "state", faults=self.faults)
            try:
                self.chain = Chain.open(self.genesis, self.blocks, self.states)
            except BaseException:
                self.states.close()
                self.index.close()
                raise
        except BaseException:
            self.blocks.close()
            raise

    def close(self) -> None:
        self.blocks.close()
        self.index.close()
        self.states.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    @property
    def replica(self) -> Replica:
        return self.chain.replica

    @property
    def now_ms(self) -> int:
        return self.replica.last_time_ms + 1_000

    def transaction(
        self, kind: str, signers: dict[int, str], *fields: object, sequence: int = 0
    ) -> Transaction:
        first = min(signers)
        if not sequence:
            sequence = self.sequences[first] = self.sequences.get(first, 0) + 1
        definition = BY_NAME[kind]
        body = encode_body(
            definition,
            sorted(signers),
            sequence,
            self.now_ms // 1_000 + 60,
            definition.payload(*fields),
        )
        message = sign_input(genesis_hash(self.genesis), body)
        return decode_transaction(
            assemble(body, [sign(key(signers[index]), message) for index in sorted(signers)])
        )

    def prove(self, name: str, role: Role, *about: str | bytes) -> bytes:
        """The proof with which the key of this name enrols."""
        return sign(key(name), proof_input(genesis_hash(self.genesis), role, about, public(name)))

    def build(self, *transactions: Transaction, evidence: tuple[VoteEquivocation, ...] = ()) -> SealedBlock:
        return self.replica.build_block(self.now_ms, transactions, evidence, 0)

    def certify(
        self, block: SealedBlock, names: tuple[str, ...] | None = None, type: VoteType = VoteType.PRECOMMIT
    ) -> Certificate:
        """The commit certificate of `block` by these nodes' keys, all validators' if none are named."""
        value, height = block.value, block.height
        message = vote_sign_bytes(type, height, 0, value, genesis_hash(self.genesis))
        members = [member.public_key for member in self.replica.validators_at(height)]
        chosen = VOTING if names is None else names
        signatures = {
            position: sign(key(f"{name} node"), message)
            for name in chosen
            for position, member in enumerate(members)
            if member == public(f"{name} node")
        }
        return Certificate(type, height, 0, value, tuple(sorted(signatures.items())))

    def decide(self, block: SealedBlock, names: tuple[str, ...] | None = None) -> AppliedBlock:
        return self.chain.apply(block, self.certify(block, names))

    def commit(self, *transactions: Transaction, names: tuple[str, ...] | None = None) -> AppliedBlock:
        """Decide a block of these transactions, which must all be fit for it."""
        block = self.build(*transactions)
        assert len(block.transactions) == len(transactions)
        return self.decide(block, names)

    def act(self, kind: str, institutions: tuple[str, ...], *fields: object) -> tuple[int, ...]:
        """A governed act by two officers of each institution in a block of its own; what it created."""
        applied = self.commit(self.transaction(kind, officers(*institutions), *fields))
        assert applied.results[0].code == 0, applied.results[0]
        return applied.results[0].created[1:]

    def registration(self, name: str) -> Transaction:
        """PVARA registers a VASP of this name with the key of this name."""
        proof = self.prove(name, Role.SETTLEMENT, name)
        fields = (name, name.upper(), public(name), proof)
        return self.transaction("vasp_register", officers("pvara"), *fields)

    def set_power(self, node: int, power: int) -> AppliedBlock:
        """The voting institutions give a node so much power, 0 for none."""
        record = self.replica.state.nodes[node]
        role = NodeRole.VALIDATOR if power else NodeRole.OBSERVER
        fields = (record.name, record.institution, role, power, b"", b"")
        return self.commit(self.transaction("node_update", officers(*VOTING), *fields))

    def equivocation(self, name: str, height: int, round: int = 0) -> VoteEquivocation:
        """Two precommits of one node in one round."""
        position = [member.public_key for member in self.replica.validators_at(height)].index(
            public(f"{name} node")
        )
        votes = [
            Vote(
                VoteType.PRECOMMIT, height, round, value, position,
                sign(
                    key(f"{name} node"),
                    vote_sign_bytes(VoteType.PRECOMMIT, height, round, value, genesis_hash(self.genesis)),
                ),
            )
            for value in (None, b"\1" * 32)
        ]  # fmt: skip
        return VoteEquivocation(*votes)


@dataclass(frozen=True, slots=True)
class Market:
    """Where things are after `open_market`."""

    vasp: dict[int, str]  # signer index and key name, for `transaction`
    owner: dict[int, str]
    cash: int
    money: int  # the VASP's client money
    bill: int
    clients: tuple[int, ...]  # holdings of the bill; the last one is self-custodied
    wallets: tuple[int, ...]  # holdings of cash


def open_market(little: LittleChain, clients: int = 4) -> Market:
    """A licensed VASP with clients, cash, and a bill of which the treasury holds all units."""
    _, vasp_index, vasp_signer = little.commit(little.registration("htx")).results[0].created
    little.act("vasp_noc", ("pvara",), vasp_index)
    little.act("vasp_goaml", ("fmu",), vasp_index, "G-1")
    little.act("vasp_subsidiary", ("secp",), vasp_index, "HTX Pakistan", "77")
    vasp_signer = little.replica.state.vasps[vasp_index].signer
    vasp = {vasp_signer: "htx"}
    little.commit(little.transaction("licence_apply", vasp, ("exchange", "custody", "broker_dealer")))
    little.act("vasp_license", ("pvara",), vasp_index, ("broker_dealer", "custody", "exchange"))
    (programme, *_) = little.act("programme_create", ("mof", "sbp", "pvara"), "bills", 200_000_000_000)
    little.act("fixing_attest", ("sbp",), 2_800_000, START_MS)
    (cash, *_) = little.act("cash_define", ("sbp",), "PKR")
    kyc_until = little.now_ms // 1_000 + 200 * 86_400
    proof = little.prove("owner", Role.OWNER, "htx", bytes(32))
    rows = [AccountRow(2, bytes(32), kyc_until, 586, 1, b"", b"")]
    rows += [AccountRow(0, bytes(32), kyc_until, 586, 1, b"", b"") for _ in range(clients - 1)]
    rows += [AccountRow(1, bytes(32), kyc_until, 586, 1, public("owner"), proof)]
    created = little.commit(little.transaction("account_open", vasp, tuple(rows))).results[0].created
    accounts, owner = created[: clients + 1], {created[-1]: "owner"}
    bill = little.act(
        "instrument_issue", ("mof", "sbp", "pvara"),
        programme, cash, ISIN, UNITS, (), (), bytes(32), Register.NATIVE, "",
        Discount(500_000, day_of(little.now_ms), day_of(little.now_ms) + 84, 93_784),
    )[0]  # fmt: skip

    def open_holdings(signers: dict[int, str], pairs: list[tuple[int, int]]) -> tuple[int, ...]:
        data = b"".join(a.to_bytes(4, "little") + i.to_bytes(4, "little") for a, i in pairs)
        return little.commit(little.transaction("holding_open", signers, data)).results[0].created

    opened = open_holdings(
        vasp,
        [(accounts[0], cash)]
        + [(account, bill) for account in accounts[1:-1]]
        + [(account, cash) for account in accounts[1:-1]],
    )
    own = open_holdings(owner, [(accounts[-1], bill), (accounts[-1], cash)])
    return Market(
        vasp, owner, cash, opened[0], bill,
        (*opened[1:clients], own[0]), (*opened[clients:], own[1]),
    )  # fmt: skip


def live(little: LittleChain, market: Market) -> None:
    """Play a bill's life from here on: cash, an offer, trades, refusals, a freeze, maturity, redemption."""
    state = little.replica.state
    bill = state.instruments[market.bill]
    little.act("cash_issue", ("sbp",), market.money, 2_000_000_000, b"d" * 32)
    little.act("cash_issue", ("sbp",), bill.treasury_cash, 700_000_000, b"e" * 32)
    little.act("cash_destroy", ("sbp", "pvara"), b"d" * 32, market.money, 1_000)
    payouts = [(market.money, wallet, 100_000_000) for wallet in market.wallets]
    little.commit(little.transaction("transfer_batch", market.vasp, rows_of(*payouts)))
    opens = little.now_ms
    (offer, *_) = little.act(
        "offer_open", ("mof",), market.bill, terms.price_e4(bill.terms), UNITS, opens, opens + 3_600_000, ()
    )
    takes = [
        (holding, wallet, 50 + number)
        for number, (holding, wallet) in enumerate(zip(market.clients[:-1], market.wallets[:-1], strict=True))
    ]
    takes.append((market.clients[0], market.wallets[0], 900))  # more cash than there is
    little.commit(little.transaction("offer_take", market.vasp, offer, rows_of(*takes)))
    trades = [(market.clients[0], market.clients[-1], 3), (market.clients[0], market.clients[1], 10_000)]
    little.commit(
        little.transaction("transfer_batch", market.vasp, rows_of(*trades)),
        little.transaction("transfer", market.vasp, market.clients[1], market.clients[2], 7),
        little.transaction("transfer", market.owner, market.clients[-1], market.clients[0], 1),
        little.transaction("transfer", market.owner, market.clients[0], market.clients[-1], 1),
    )
    little.act("freeze", ("fmu",), 2, market.clients[1])
    little.commit()
    maturity_ms = terms.closes_ms(state.instruments[market.bill].terms)
    advance = little.transaction("dev_advance_clock", officers("mof", count=1), maturity_ms - little.now_ms)
    little.commit(advance)
    little.commit()
    bill = state.instruments[market.bill]
    little.act("redemption_fund", ("mof",), market.bill, bill.supply * terms.face_minor(bill.terms))
    little.commit()
    little.commit()
