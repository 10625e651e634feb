"""Every kind with arbitrary payloads and signers on a lively ledger: only results, never an exception.

Payloads are drawn by the types of their fields, near what the ledger holds, so that most rules are reached;
time jumps over windows and maturities. After every block conservation is asserted, and balances, locked
amounts and supplies are what its postings say, one by one; each batch of transfers is settled both ways and
compared.
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from random import Random
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from ledger import conservation, due, restrictions, transfers
from ledger.agenda import Moment
from ledger.calendar import day_of
from ledger.codes import Code
from ledger.documents import Rule
from ledger.execution import execute
from ledger.kind import Kind, Signers
from ledger.kinds import BY_NAME
from ledger.kinds.institution_update import NewOfficer
from ledger.postings import Form, Movement, posting_rows, results_root
from ledger.rows import NO_ROW, Role
from ledger.state import State
from ledger.tables import DocumentTable
from ledger.transactions import assemble, decode_transaction, encode_body
from testing import world
from testing.in_order import settle_batch_in_order
from testing.keys import NAMES, public
from testing.ledger_network import DAY_MS, TITLES, Network, client
from testing.stores import KeptState

BLOCKS = 250
OFTEN = ("transfer", "transfer_batch", "offer_take", "approve", "redemption_fund")
KEYS = ("owner_key", "settlement_key", "public_key", "key")
SELDOM = ("institution_update", "vasp_revoke", "vasp_suspend", "dev_advance_clock")
TEXTS = {
    "currency": ("PKR", "USD", "usd"),
    "categories": ("exchange", "custody", "issuance", "lending", "nonsense"),
    "name": (
        "binance",
        "delta",
        "bills",
        "aml_registered_services",
        "aml_accounts_cap",
        "proposals_open_max",
    ),
    "node": ("mof-1", "sbp-1", "mof-2", "sbp-2"),
    "value": ("account_open", "holding_open", "nonsense"),
    "isin": ("PK0000000019", "PK0000000027", "PK0000000035", "PK0000000000"),
}
NUMBERS = {
    "advance_ms": (1, DAY_MS, 5 * DAY_MS),
    "face_minor": (1, 100, 500_000, 2**40),
    "price_e4": (1, 978_873, 10**7),
    "amount": (1, 1_000, 10**6, 10**9, 5 * 10**11, 10**12),
    "units": (1, 10, 100, 1_000),
    "jurisdiction": (586, 586, 840),
}


def lively() -> Network:
    """Two licensed VASPs with clients, money and bills, three open offers, one applicant."""
    net = Network()
    for name in ("binance", "htx"):
        net.license(name)
    net.register("gamma")
    net.define_money()
    bills = (
        net.issue(units=2_000, tenor_days=20),
        net.issue(isin="PK0012345689", units=1_000, tenor_days=10),
    )
    for name in ("binance", "htx"):
        owner = f"{name} owner"
        *accounts, net.signers[owner] = net.accounts(
            name, [client(1), client(2), client(3, 1, owner), client(4, 2)]
        )
        net.holdings(name, [(account, instrument) for account in accounts[:-1] for instrument in (0, *bills)])
        net.holdings(name, [(accounts[-1], 0)])
    for index, holding in enumerate(net.state.holdings.rows().tolist()):
        if holding[1] == 0 and net.state.accounts[holding[0]].type in (2, 3):
            net.fund(index, 10**9)
    for bill, units in ((bills[0], 1_000), (bills[1], 500), (bills[1], 100)):
        net.offer(bill, units)
    return net


class Draw:
    """Arbitrary payloads and signers for one ledger."""

    def __init__(self, net: Network, random: Random) -> None:
        self.net, self.random, self.now_ms = net, random, net.time_ms

    def signers(self, kind: Kind) -> tuple[int, ...]:
        state, random = self.net.state, self.random
        if random.random() < 0.05:
            return tuple(sorted(random.sample(range(len(state.signers) + 2), random.randint(1, 3))))
        if kind.governed:
            policy = state.policies[state.policies.by_key[kind.name]]
            own = (random.randrange(5),)
            named = {Rule.TWO_THIRDS_VOTING: range(4), Rule.PROPOSER: own}.get(
                policy.rule, policy.institutions
            )
            enough = [officer for index in named for officer in state.institutions[index].officers[:2]]
            if random.random() < 0.7:
                return tuple(enough)
            return tuple(sorted(random.sample(enough, random.randint(1, len(enough)))))
        if kind.signers is Signers.OFFICERS:
            return tuple(sorted(random.sample(range(15), random.randint(1, 8))))
        owners = [self.net.signers[name] for name in ("binance owner", "htx owner")]
        keys = [state.vasps[index].signer for index in (0, 1)]
        return (random.choice([*keys, *owners, random.randrange(len(state.signers))]),)

    def payload(self, kind: type[msgspec.Struct]) -> Any:
        hints = get_type_hints(kind, include_extras=True)
        values = {name: self.value(hints[name], name, kind.__name__) for name in kind.__struct_fields__}
        if kind.__name__ == "AccountRow" and values["type"] != 1:
            values["owner_key"] = b""
        if "act" in values and self.random.random() < 0.9:
            values["act"] = self.net.act(values["proposal"])
        if "proof" in values:
            values["proof"] = self.proof(kind.__name__, values)
        if kind.__name__ == "InstitutionUpdate":
            institution = self.net.state.institutions[min(values["institution"], 4)]
            values["add"] = self.officers(values["institution"])
            count = self.random.randint(0, 2)
            values["remove"] = tuple(self.random.sample(institution.officers, count))
            values["ca_roots"] = values["ca_roots"][:2]
        if kind.__name__ == "InstrumentIssue":
            values["reference"] = "deposited" if values["register"] == 2 else ""
        return kind(**values)

    def proof(self, kind: str, values: dict[str, Any]) -> bytes:
        """The proof of the key that was drawn: mostly the right one, seldom none or another's."""
        name = NAMES.get(next((values[field] for field in KEYS if field in values), b""))
        if name is None or self.random.random() < 0.1:
            return self.random.choice([b"" if kind in ("AccountRow", "NodeUpdate") else bytes(64), bytes(64)])
        if kind == "AccountRow":
            return self.net.prove(name, Role.OWNER, self.random.choice(["binance", "htx"]), values["kyc"])
        if kind in ("OfficerKeyRotate", "NewOfficer"):
            return self.net.prove(name, Role.OFFICER, self.random.choice([*TITLES]))
        if kind in ("SettlementKeyRotate", "SettlementKeyReplace"):
            return self.net.prove(name, Role.SETTLEMENT, self.random.choice(["binance", "htx"]))
        if kind == "VaspRegister":
            return self.net.prove(name, Role.SETTLEMENT, values["name"])
        institutions = self.net.state.institutions
        at = min(values["institution"], len(institutions) - 1)
        return self.net.prove(name, Role.NODE, institutions[at].name, values["node"])

    def officers(self, institution: int) -> tuple[NewOfficer, ...]:
        """New officers' keys with their proofs."""
        name = self.net.state.institutions[min(institution, 4)].name
        keys = [str(self.random.random()) for _ in range(self.random.randint(0, 2))]
        return tuple(NewOfficer(public(key), self.net.prove(key, Role.OFFICER, name)) for key in keys)

    def value(self, declared: Any, name: str, kind: str) -> Any:
        metas: list[msgspec.Meta] = []
        if get_origin(declared) is Annotated:
            declared, *metas = get_args(declared)
        if isinstance(declared, type) and issubclass(declared, IntEnum):
            return self.random.choice(list(declared))
        if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
            return self.payload(declared)
        if declared is int:
            return self.number(int(metas[0].ge or 0), int(metas[0].le or 0), name)
        if declared is str:
            return self.random.choice(TEXTS.get(name, ("x", "PKR", "é" * 30)))
        if declared is bytes:
            return self.bytes(name, kind)
        if get_origin(declared) is tuple:
            items = [self.value(get_args(declared)[0], name, kind) for _ in range(self.random.randint(1, 3))]
            return tuple(sorted(set(items)) if name == "vasps" else items)
        return self.value(self.random.choice(get_args(declared)), name, kind)  # a union

    def number(self, least: int, most: int, name: str) -> int:
        state, random = self.net.state, self.random
        if random.random() < 0.03:
            return random.choice([least, most])
        tables: dict[str, Any] = {
            "from_holding": state.holdings,
            "to_holding": state.holdings,
            "holding": state.holdings,
            "index": random.choice([state.vasps, state.holdings]),
            "account": state.accounts,
            "vasp": state.vasps,
            "vasps": state.vasps,
            "proposal": state.proposals,
            "restriction": state.restrictions,
            "offer": state.offers,
            "instrument": state.instruments,
            "programme": state.programmes,
            "cash": range(2),
            "institution": state.institutions,
            "threshold": range(4),
            "officer": range(15),
            "power": range(3),
            "type": range(3),
        }
        still_open = [index for index, each in enumerate(state.proposals) if each.status == 1]
        if name == "proposal" and still_open and random.random() < 0.8:
            return random.choice(still_open)
        if name in tables:
            return random.randint(0, len(tables[name]))
        if name == "kyc_until":
            return self.now_ms // 1_000 + random.choice([-1, 10**6, 10**7])
        if name in ("issue_day", "maturity_day"):
            return day_of(self.now_ms) + random.choice([-1, 0, 0, 0, 1, 2, 20, 3_660])
        if name in ("as_of_ms", "opens_ms", "closes_ms"):
            return self.now_ms + random.choice([-DAY_MS, -1_000, 0, 1_000, DAY_MS, 5 * DAY_MS])
        if name in NUMBERS:
            return random.choice(NUMBERS[name])
        return max(
            least, min(most, random.choice([0, 1, 2, 3, 1_000, random.getrandbits(random.randint(1, 63))]))
        )

    def bytes(self, name: str, kind: str) -> bytes:
        state, random = self.net.state, self.random
        if name in KEYS:
            return random.choice(
                [bytes(32), b"\xff" * 32, public("mof1"), *[public(str(random.random()))] * 9]
            )
        if name == "debit" and random.random() < 0.5:
            return random.choice(state.debits).hash
        if name != "rows":
            return random.randbytes(32)
        if kind == "HoldingOpen":
            pairs = [
                (self.near(state.accounts), self.near(state.instruments)) for _ in range(random.randint(1, 3))
            ]
            return b"".join(struct.pack("<II", *pair) for pair in pairs)
        amounts = (0, 1, 10, 1_000, 489_436, 10**6, 2**63, 2**64 - 1)
        return b"".join(
            struct.pack("<IIQ", self.near(state.holdings), self.near(state.holdings), random.choice(amounts))
            for _ in range(random.randint(1, 20))
        ) + b"x" * (random.random() < 0.05)

    def near(self, table: Any) -> int:
        return self.random.choice([*range(len(table) + 1), 2**32 - 1])


def settled_both_ways(state: State, signer: int, time_ms: int, data: bytes) -> None:
    """The vector path and the ordered one agree about this batch; nothing is kept."""
    row = state.signers[signer]
    mover = transfers.Mover(signer, row.owner if row.role == Role.SETTLEMENT else NO_ROW)
    outcomes = []
    settle: Callable[..., Any]
    for settle in (transfers.settle_batch, settle_batch_in_order):
        mark = state.mark()
        before = len(state.stream.postings())
        codes = settle(state, mover, time_ms, transfers.batch_rows(data)).tolist()
        outcomes.append((codes, state.holdings.rows().tobytes(), state.stream.postings()[before:]))
        state.undo(mark)
        assert len(state.stream.postings()) == before
    assert outcomes[0] == outcomes[1]


class Counted:
    """Balances, locked amounts and supplies as postings alone say, counted one by one."""

    def __init__(self, state: State) -> None:
        self.held = [(row.balance, row.locked) for row in map(state.holdings.__getitem__, everyone(state))]
        self.supplies = [instrument.supply for instrument in state.instruments]

    def add(self, state: State, postings: bytes) -> None:
        self.held += [(0, 0)] * (len(state.holdings) - len(self.held))
        self.supplies += [0] * (len(state.instruments) - len(self.supplies))
        for _, number, _, source, target, amount in posting_rows(postings).tolist():
            match Movement(number).form:
                case Form.MOVES:
                    self._change(source, -amount, 0)
                    self._change(target, amount, 0)
                case Form.CREATES:
                    self._change(target, amount, 0)
                    self.supplies[state.holdings[target].instrument] += amount
                case Form.DESTROYS:
                    self._change(source, -amount, 0)
                    self.supplies[state.holdings[source].instrument] -= amount
                case Form.LOCKS:
                    self._change(target, 0, amount)
                case Form.UNLOCKS:
                    self._change(target, 0, -amount)

    def _change(self, holding: int, balance: int, locked: int) -> None:
        had = self.held[holding]
        self.held[holding] = had[0] + balance, had[1] + locked
        assert 0 <= self.held[holding][1] <= self.held[holding][0], "at every posting, not only at the end"


def everyone(state: State) -> range:
    return range(len(state.holdings))


def test_the_results_root_commits_to_every_posting_and_event() -> None:
    random = Random(1)
    rows = {"postings": random.randbytes(24 * 300), "events": random.randbytes(32 * 300)}
    root = results_root([b"result"], **rows)
    for name, whole in rows.items():
        for at in (0, len(whole) // 2, len(whole) - 1):
            changed = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
            assert results_root([b"result"], **{**rows, name: changed}) != root
        assert results_root([b"result"], **{**rows, name: whole[:-32]}) != root


def indexes_are_those_rebuilt(state: State, kept: KeptState) -> None:
    """Whatever is derived from the tables is what a node finds that loads them."""
    loaded = State.load(kept)
    assert loaded.root() == state.root()
    assert loaded.due.pending() == state.due.pending()
    for ours, theirs in zip(state.tables, loaded.tables, strict=True):
        assert ours.by_key == theirs.by_key
        if isinstance(ours, DocumentTable) and isinstance(theirs, DocumentTable):
            assert (ours.grouped, ours._members) == (theirs.grouped, theirs._members)


@pytest.mark.parametrize("seed", range(6))
def test_execution_never_raises_and_conserves(seed: int) -> None:
    random = Random(seed)
    net = lively()
    state, draw = net.state, Draw(net, random)
    kinds = list(BY_NAME.values())
    weights = [4.0 if kind.name in OFTEN else 0.1 if kind.name in SELDOM else 1.0 for kind in kinds]
    if seed % 2:  # what falls due comes one row a block, often late: nobody may notice
        world.change(state.parameters, state.parameters.by_key["agenda_block_cost"], value=1)
    header_ms, codes = net.header_ms, set()
    kept = KeptState()
    counted = Counted(state)
    for height in range(net.height + 1, net.height + BLOCKS):
        header_ms += random.choice([1, 1_000, 1_000, 3_600_000])
        draw.now_ms = header_ms + state.chain_record.clock_offset_ms
        mark = state.mark()
        due.begin_block(state, Moment(height, draw.now_ms))
        for _ in range(random.randint(1, 3)):
            (kind,) = random.choices(kinds, weights)
            signers, payload = draw.signers(kind), draw.payload(kind.payload)
            first = min(signers[0], len(state.signers) - 1)
            sequence = state.signers.field(first, "highest") + random.choice([0, 1, 1, 1, 2])
            body = encode_body(kind, signers, max(1, sequence), 100, payload)
            tx = decode_transaction(assemble(body, [bytes(64)] * len(signers)))
            if kind.name == "transfer_batch" and len(payload.rows) % 16 == 0:
                settled_both_ways(state, first, draw.now_ms, payload.rows)
            codes.add(execute(state, tx, height, draw.now_ms, header_ms).code)
        conservation.check_block(state, mark)
        conservation.check_all(state)
        restrictions.check_all(state)
        counted.add(state, state.stream.postings())
        assert counted.held == [tuple(state.holdings[index])[2:4] for index in everyone(state)]
        assert counted.supplies == [instrument.supply for instrument in state.instruments]
        state.rehash()
        kept.save(state.drain_changes())
        if height % 50 == 0:
            indexes_are_those_rebuilt(state, kept)
    assert len(codes) > 12
    assert Code.OK in codes
