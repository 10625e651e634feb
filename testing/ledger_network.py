"""A chain from a real genesis, driven block by block with really signed transactions: no process, no socket.

Every block passes admission and execution as a validator's would, and is followed by a whole check of
conservation and of what restrictions hold, so a test that uses this asserts both without saying so.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from ledger import admission, conservation, restrictions
from ledger.calendar import day_of
from ledger.codes import Code
from ledger.documents import Proposal, ProposalStatus, Target, Vasp
from ledger.execution import BlockFacts, Result, apply_block
from ledger.genesis import (
    DEVELOPMENT,
    VALIDATOR,
    Genesis,
    GenesisInstitution,
    GenesisNode,
    create_state,
    default_policies,
    genesis_hash,
)
from ledger.kinds import BY_NAME
from ledger.kinds.account_open import AccountRow
from ledger.parameters import Value
from ledger.proposals import act_hash
from ledger.rows import Role
from ledger.terms.discount import Discount
from ledger.transactions import Transaction, assemble, decode_transaction, encode_body, sign_input
from ledger.versions import rules_at
from ledger.words import Words, words
from primitives.signatures import sign
from testing.keys import NAMES, key, prove, public

START_MS = 1_790_000_000_000
DAY_MS = 86_400_000
PAKISTAN = 586
RETAIL = 1
TITLES = {
    "mof": "Ministry of Finance",
    "sbp": "State Bank of Pakistan",
    "pvara": "Pakistan Virtual Assets Regulatory Authority",
    "secp": "Securities and Exchange Commission of Pakistan",
    "fmu": "Financial Monitoring Unit",
}
ANSWERS = ("approve", "reject", "withdraw")  # to a proposal
OFFICERS = tuple(f"{name}{number}" for name in TITLES for number in (1, 2, 3))
CATEGORIES = ("exchange", "custody")
ISIN = "PK0012345671"
BILL = {
    "programme": 0,
    "cash": 0,
    "isin": ISIN,
    "units": 2_000_000,
    "jurisdictions": (PAKISTAN,),
    "classes": (),
    "terms_hash": sha256(b"terms").digest(),
    "register": 1,
    "reference": "",
    "terms": Discount(500_000, day_of(START_MS), day_of(START_MS) + 84, 93_784),
}


def make_genesis(chain_class: str = DEVELOPMENT, parameters: tuple[tuple[str, Value], ...] = ()) -> Genesis:
    """A genesis in which mof, sbp, pvara and secp vote and validate, fmu does neither; three officers, a
    threshold of two."""
    return Genesis(
        version=1,
        chain="mohur-test",
        chain_class=chain_class,
        time_ms=START_MS,
        institutions=tuple(
            GenesisInstitution(
                name, title, name != "fmu", 2, tuple(public(f"{name}{n}") for n in (1, 2, 3)),
                b"ca root of " + name.encode(),
            )
            for name, title in TITLES.items()
        ),
        nodes=tuple(
            GenesisNode(f"{name}-1", name, public(f"node of {name}"), 1, VALIDATOR)
            for name in TITLES
            if name != "fmu"
        ),
        policies=default_policies(),
        parameters=parameters,
        treasury="mof",
    )  # fmt: skip


class Network:
    """One replica of the ledger, and everybody's keys."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        genesis = genesis or make_genesis()
        self.state = create_state(genesis)
        self.hash = genesis_hash(genesis)
        self.height = 0
        self.header_ms = START_MS
        self.signers = {name: index for index, name in enumerate(OFFICERS)}
        self.sequences: dict[int, int] = {}

    @property
    def time_ms(self) -> int:
        """Ledger time of the next block."""
        return self.header_ms + 1_000 + self.state.chain_record.clock_offset_ms

    def body(self, kind: str, signers: Sequence[str], **fields: Any) -> tuple[bytes, list[str]]:
        ordered = sorted(signers, key=lambda name: self.signers[name])
        indices = [self.signers[name] for name in ordered]
        sequence = self.sequences.get(indices[0], 0) + 1
        self.sequences[indices[0]] = sequence
        definition = BY_NAME[kind]
        if kind in ANSWERS:
            fields = {"act": self.act(fields["proposal"]), **fields}
        valid_until = self.header_ms // 1_000 + 600
        return encode_body(definition, indices, sequence, valid_until, definition.payload(**fields)), ordered

    def tx(self, kind: str, signers: str, **fields: Any) -> Transaction:
        """A transaction signed by the named keys (separated by spaces), the first sequence that is free."""
        body, ordered = self.body(kind, signers.split(), **fields)
        return self.signed(body, ordered)

    def signed(self, body: bytes, names: Sequence[str]) -> Transaction:
        message = sign_input(self.hash, body)
        return decode_transaction(assemble(body, [sign(key(name), message) for name in names]))

    def block(self, *transactions: Transaction) -> tuple[Result, ...]:
        """One block of these, each admitted as a validator would."""
        self.header_ms += 1_000
        self.height += 1
        block = admission.BlockAdmission(self.state, self.header_ms, rules_at(self.state, self.height))
        for tx in transactions:
            admission.check_signatures(self.state, tx, self.hash)
            block.admit(tx)
        results = apply_block(self.state, BlockFacts(self.height, self.header_ms), transactions).results
        conservation.check_all(self.state)
        restrictions.check_all(self.state)
        return results

    def do(self, kind: str, signers: str, **fields: Any) -> Result:
        """One transaction in a block of its own; its result, whatever it is."""
        return self.block(self.tx(kind, signers, **fields))[0]

    def ok(self, kind: str, signers: str, **fields: Any) -> tuple[int, ...]:
        """Do an act that must succeed; returns what it created."""
        result = self.do(kind, signers, **fields)
        assert result.code == Code.OK, f"{kind}: {result}"
        return result.created

    def refused(self, code: Code, kind: str, signers: str, **fields: Any) -> Result:
        """Do an act that must be refused with `code`, and change nothing but its signer's window and the
        block's due."""
        result = self.do(kind, signers, **fields)
        assert result.code == code, f"{kind}: expected {code.word}, got {Code(result.code).word}: {result}"
        return result

    def enact(self, kind: str, signers: str, **fields: Any) -> tuple[int, ...]:
        """Propose with all the signers that the policy needs: executed at once; what the effect created."""
        proposal, *created = self.ok(kind, signers, **fields)
        assert self.proposal(proposal).status is ProposalStatus.EXECUTED, self.proposal(proposal)
        return tuple(created)

    def prove(self, name: str, role: Role, *about: str | bytes) -> bytes:
        """The proof with which the key of this name enrols."""
        return prove(self.hash, name, role, *about)

    def proven(self, vasp: str, row: AccountRow) -> AccountRow:
        """The row with the proof of its owner's key, if it has one."""
        if not row.owner_key:
            return row
        return replace(row, proof=self.prove(NAMES[row.owner_key], Role.OWNER, vasp, row.kyc))

    def act(self, proposal: int) -> bytes:
        """What a signature under this proposal names, as its officer has read it."""
        if proposal >= len(self.state.proposals):
            return bytes(32)
        record = self.proposal(proposal)
        return act_hash(record.kind, record.payload)

    def proposal(self, index: int) -> Proposal:
        return self.state.proposals[index]

    def vasp(self, name: str) -> Vasp:
        return self.state.vasps[self.state.vasp_by_name[name]]

    def balance(self, holding: int) -> int:
        return self.state.holdings[holding].balance

    def advance(self, milliseconds: int) -> None:
        """Move ledger time, and begin one block there."""
        self.ok("dev_advance_clock", "mof1", advance_ms=milliseconds)
        self.block()

    # --- what many tests start from

    def register(self, name: str) -> int:
        """A VASP at stage APPLIED."""
        index, signer = self.enact(
            "vasp_register",
            "pvara1 pvara2",
            name=name,
            title=name.upper(),
            settlement_key=public(name),
            proof=self.prove(name, Role.SETTLEMENT, name),
        )
        self.signers[name] = signer
        return index

    def license(self, name: str) -> int:
        """A VASP that has gone all the way to LICENSED."""
        vasp = self.register(name)
        self.enact("vasp_noc", "pvara1 pvara2", vasp=vasp)
        self.enact("vasp_goaml", "fmu1 fmu2", vasp=vasp, reference="G-1")
        self.enact("vasp_subsidiary", "secp1 secp2", vasp=vasp, name=f"{name} PK", number="0001")
        self.ok("licence_apply", name, categories=CATEGORIES)
        self.enact("vasp_license", "pvara1 pvara2", vasp=vasp, categories=CATEGORIES)
        return vasp

    def define_money(self) -> None:
        """Instrument 0 is PKR cash, programme 0 has a cap of USD 2 billion, a fixing of 280 is fresh."""
        self.enact("cash_define", "sbp1 sbp2", currency="PKR")
        self.enact("programme_create", EVERYONE, name="bills", cap_cents=200_000_000_000)
        self.fix()

    def fix(self, rate_e4: int = 2_800_000) -> None:
        self.enact("fixing_attest", "sbp1 sbp2", rate_e4=rate_e4, as_of_ms=self.time_ms)

    def issue(self, **changes: Any) -> int:
        """A bill, issued at once; its instrument."""
        return self.enact("instrument_issue", EVERYONE, **self.bill(**changes))[0]

    def bill(self, **changes: Any) -> dict[str, Any]:
        """The fields of an instrument_issue; `face_minor`, `yield_e6` and `tenor_days` go into its terms."""
        said = {"face_minor": 500_000, "yield_e6": 93_784, "tenor_days": 84}
        said = {name: changes.pop(name, default) for name, default in said.items()}
        today = day_of(self.time_ms)
        terms = Discount(said["face_minor"], today, today + said["tenor_days"], said["yield_e6"])
        return {**BILL, "terms": terms, **changes}

    def freeze(self, target: Target, index: int, authority: str = "pvara") -> int:
        """A freeze by two officers of the authority; its restriction."""
        (restriction,) = self.enact("freeze", f"{authority}1 {authority}2", target=target, index=index)
        return restriction

    def lift(self, restriction: int) -> None:
        """Lift a freeze by two authorities."""
        self.enact("lift", "sbp1 sbp2 fmu1 fmu2", restriction=restriction)

    def offer(self, instrument: int, units: int, vasps: tuple[int, ...] = ()) -> int:
        """An offer at 97.8873, open for a day from now."""
        (index,) = self.enact(
            "offer_open",
            "mof1 mof2",
            instrument=instrument,
            price_e4=978_873,
            units=units,
            opens_ms=self.time_ms,
            closes_ms=self.time_ms + DAY_MS,
            vasps=vasps,
        )
        return index

    def accounts(self, vasp: str, rows: Sequence[AccountRow]) -> tuple[int, ...]:
        """Accounts opened by `vasp`; then the indices of the owners' signers."""
        return self.ok("account_open", vasp, rows=tuple(self.proven(vasp, row) for row in rows))

    def holdings(self, signer: str, pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
        return self.ok("holding_open", signer, rows=packed(pairs, 4, 4))

    def fund(self, holding: int, amount: int) -> None:
        """Cash from a debit that was never used before."""
        debit = sha256(f"debit {len(self.state.debits)}".encode()).digest()
        self.enact("cash_issue", "sbp1 sbp2", holding=holding, amount=amount, debit=debit)


EVERYONE = "mof1 mof2 sbp1 sbp2 pvara1 pvara2"


def packed(rows: Sequence[tuple[int, ...]], *widths: int) -> bytes:
    """Rows of little-endian integers of these widths in bytes."""
    return b"".join(
        number.to_bytes(width, "little") for row in rows for number, width in zip(row, widths, strict=True)
    )


def client(number: int, account_type: int = 0, owner: str = "", jurisdiction: int = PAKISTAN) -> AccountRow:
    """One row of account_open."""
    kyc = sha256(f"salt {number}".encode()).digest()
    until = START_MS // 1_000 + 400 * 86_400
    return AccountRow(account_type, kyc, until, jurisdiction, RETAIL, public(owner) if owner else b"", b"")


def said(result: Result) -> Words:
    """A refused transaction's field, value and rule, as a user sees them."""
    return words(result.code, result.field, result.values)
