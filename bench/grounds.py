"""How a proposer of bad will would fill a block with each kind, on the ground on which that costs the most.

`WORST` has it by kind; the variants of one kind differ in what they make a validator do.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from typing import Any

import numpy as np
from msgspec.structs import replace

from ledger import restrictions, rows
from ledger.documents import NONE, Node, NodeRole, Programme, Stage, Target
from ledger.enrolment import enrol
from ledger.identifiers import isin_check_digit
from ledger.kinds.account_open import AccountRow
from ledger.kinds.institution_update import NewOfficer
from ledger.limits import (
    ACCOUNT_OPEN_ROWS_MAX,
    BATCH_ROWS_MAX,
    HOLDING_OPEN_ROWS_MAX,
    HOLDINGS_PER_ACCOUNT_MAX,
    KYC_RESTORE_ROWS_MAX,
    NODES_MAX,
    OFFERS_OPEN_MAX,
    OFFICERS_MAX,
    SECURITIES_LIVE_MAX,
    TAKE_ROWS_MAX,
)
from ledger.positions import treasury_account
from ledger.rows import AccountType, Role
from ledger.settlement import TAKE_ROW
from ledger.transactions import Transaction
from testing.ground import BALANCE, Ground
from testing.keys import public
from testing.ledger_network import CATEGORIES, DAY_MS, EVERYONE, client

Worst = Callable[[Ground], Iterator[Transaction]]
Fields = dict[str, Any]

CLIENTS = 100_000
OWNERS = 1_600
KEYS_IN_ONE = 1_700  # rows with a key and its proof, in 256 KiB
DUE_ROWS = 1_000_000
NEW_SECURITIES = 96  # that a ground full of others leaves room for
MANY = 1_000  # records of which each act of a block takes another one
PVARA = "pvara1 pvara2 pvara3"
VOTING = "mof1 mof2 sbp1 sbp2 pvara1 pvara2"
OFFICERS = (*PVARA.split(), "sbp1", "sbp2", "sbp3")


# --- what VASPs and their clients send


def transfers(ground: Ground) -> Iterator[Transaction]:
    """Everyone to everyone, all good."""
    names, draw = ground.owners(OWNERS), np.random.default_rng(1)
    while True:
        for position, name in enumerate(names):
            other = int(draw.integers(1, OWNERS))
            yield ground.network.tx(
                "transfer",
                name,
                from_holding=ground.owned[position],
                to_holding=ground.owned[(position + other) % OWNERS],
                amount=1,
            )


def transfers_of_many(ground: Ground) -> Iterator[Transaction]:
    """Each signed by sixteen keys, of which all must verify before all are refused."""
    names = ground.owners(OWNERS)
    fields = {"from_holding": ground.owned[0], "to_holding": ground.owned[1], "amount": 1}
    while True:
        for first in range(0, OWNERS, 16):
            yield ground.network.tx("transfer", " ".join(names[first : first + 16]), **fields)


def _batches(ground: Ground, most: int) -> Iterator[Transaction]:
    draw = np.random.default_rng(1)
    while True:
        batch = np.zeros(BATCH_ROWS_MAX, rows.TRANSFER_ROW)
        for side in ("from", "to"):
            batch[side] = draw.integers(len(ground.cash), size=BATCH_ROWS_MAX) + ground.cash[0]
        batch["amount"] = draw.integers(1, most, size=BATCH_ROWS_MAX)
        yield ground.network.tx("transfer_batch", "htx", rows=batch.tobytes())


def batches_that_pass(ground: Ground) -> Iterator[Transaction]:
    """Rows all over the table, of which none can run short."""
    return _batches(ground, 100)


def batches_that_run_short(ground: Ground) -> Iterator[Transaction]:
    """Rows that run short or not depending on their order: they are walked one by one."""
    return _batches(ground, 2 * BALANCE)


def _opening(ground: Ground, names: list[str]) -> tuple[AccountRow, ...]:
    row = client(0, AccountType.SELF_CUSTODY)
    return tuple(ground.network.proven("htx", replace(row, owner_key=public(name))) for name in names)


def accounts_with_keys(ground: Ground) -> Iterator[Transaction]:
    """Owners who enrol their keys."""
    for first in count(0, KEYS_IN_ONE):
        names = [f"key {number}" for number in range(first, first + KEYS_IN_ONE)]
        yield ground.network.tx("account_open", "htx", rows=_opening(ground, names))


def accounts_whose_last_proof_is_wrong(ground: Ground) -> Iterator[Transaction]:
    """The same, all refused at the last proof."""
    opening = _opening(ground, [f"key {number}" for number in range(KEYS_IN_ONE)])
    opening = (*opening[:-1], replace(opening[-1], proof=bytes(64)))
    while True:
        yield ground.network.tx("account_open", "htx", rows=opening)


def accounts_of_clients(ground: Ground) -> Iterator[Transaction]:
    """Accounts without keys, as many as one transaction takes."""
    while True:
        yield ground.network.tx("account_open", "htx", rows=(client(0),) * ACCOUNT_OPEN_ROWS_MAX)


def _pairs(accounts: range, instrument: int) -> bytes:
    pairs = np.zeros((len(accounts), 2), "<u4")
    pairs[:, 0], pairs[:, 1] = accounts, instrument
    return pairs.tobytes()


def first_holdings(ground: Ground) -> Iterator[Transaction]:
    """Accounts that hold cash alone open a holding of the bill."""
    for first in range(0, CLIENTS - HOLDING_OPEN_ROWS_MAX, HOLDING_OPEN_ROWS_MAX):
        accounts = ground.clients[first : first + HOLDING_OPEN_ROWS_MAX]
        yield ground.network.tx("holding_open", "htx", rows=_pairs(accounts, ground.bill))


def holdings_of_long_lists(ground: Ground) -> Iterator[Transaction]:
    """Accounts that hold as much as they may open the last one; then they are refused after a walk of all."""
    accounts = ground.clients[:HOLDING_OPEN_ROWS_MAX]
    for instrument in ground.papers(HOLDINGS_PER_ACCOUNT_MAX - 2, programme=NONE):
        ground.holdings(accounts, instrument, 0)
    while True:
        yield ground.network.tx("holding_open", "htx", rows=_pairs(accounts, ground.bill))


def account_updates(ground: Ground) -> Iterator[Transaction]:
    """Clients all over the table."""
    for number in count():
        account = ground.clients[number * 7_919 % CLIENTS]
        yield ground.network.tx(
            "account_update", "htx", account=account, kyc=bytes(32), kyc_until=rows.FOREVER
        )


def _takes(ground: Ground, units: int) -> Iterator[Transaction]:
    securities = ground.holdings(ground.clients, ground.bill, 0)
    takes = np.zeros(TAKE_ROWS_MAX, TAKE_ROW)
    takes["units"] = units
    for number in count():
        first = number * TAKE_ROWS_MAX % (CLIENTS - TAKE_ROWS_MAX)
        takes["security"] = securities[first] + np.arange(TAKE_ROWS_MAX)
        takes["cash"] = ground.cash[first] + np.arange(TAKE_ROWS_MAX)
        yield ground.network.tx("offer_take", "htx", offer=ground.offer, rows=takes.tobytes())


def takes_that_are_short(ground: Ground) -> Iterator[Transaction]:
    """Rows whose cash does not suffice, which is asked last."""
    return _takes(ground, 100)


def takes_that_settle(ground: Ground) -> Iterator[Transaction]:
    """Rows that are delivered and paid."""
    ground.offer = ground.network.offer(ground.bill, 1_900_000)
    return _takes(ground, 1)


def licence_applications(ground: Ground) -> Iterator[Transaction]:
    """VASPs with a NOC, each with a record to be written."""
    vasps = ground.vasps(OWNERS, stage=Stage.NOC)
    while True:
        for vasp in vasps:
            yield ground.network.tx("licence_apply", f"vasp{vasp}", categories=CATEGORIES)


def key_rotations(ground: Ground) -> Iterator[Transaction]:
    """VASPs that replace their keys, each once."""
    for vasp in ground.vasps(OWNERS):
        new, name = f"next{vasp}", f"vasp{vasp}"
        proof = ground.network.prove(new, Role.SETTLEMENT, name)
        yield ground.network.tx("settlement_key_rotate", name, settlement_key=public(new), proof=proof)


# --- the institutions' acts


def acts(kind: str, signers: str, lay: Callable[[Ground], Callable[[int], Fields]]) -> Worst:
    """An act signed by all that its policy needs, so that it is checked, proposed, checked again and done;
    `lay` lays the ground and gives the fields of each act by its number."""

    def worst(ground: Ground) -> Iterator[Transaction]:
        fields = lay(ground)
        for number in count():
            yield ground.network.tx(kind, signers, **fields(number))

    return worst


def of_vasps(kind: str, signers: str, more: Fields | None = None, **standing: object) -> Worst:
    """An act on VASPs that stand as it asks, each act on another one."""

    def lay(ground: Ground) -> Callable[[int], Fields]:
        vasps = ground.vasps(MANY, **standing)
        return lambda number: {"vasp": vasps[number % MANY], **(more or {})}

    return acts(kind, signers, lay)


def _registered(ground: Ground) -> Callable[[int], Fields]:
    def fields(number: int) -> Fields:
        name = f"new{number}"
        proof = ground.network.prove(name, Role.SETTLEMENT, name)
        return {"name": name, "title": "New", "settlement_key": public(name), "proof": proof}

    return fields


def _new_keys(ground: Ground) -> Callable[[int], Fields]:
    vasps = ground.vasps(MANY)

    def fields(number: int) -> Fields:
        new, vasp = f"next{number}", vasps[number % MANY]
        proof = ground.network.prove(new, Role.SETTLEMENT, f"vasp{vasp}")
        return {"vasp": vasp, "settlement_key": public(new), "proof": proof}

    return fields


def _officer(ground: Ground) -> Callable[[int], Fields]:
    """One officer, who gets another key by each act."""
    enrolled = len(ground.network.state.signers)

    def fields(number: int) -> Fields:
        officer = enrolled + number - 1 if number else ground.network.signers["mof3"]
        new = f"next{number}"
        proof = ground.network.prove(new, Role.OFFICER, "mof")
        return {"officer": officer, "key": public(new), "proof": proof}

    return fields


def _programme(ground: Ground) -> Callable[[int], Fields]:
    for number in range(SECURITIES_LIVE_MAX):
        ground.network.state.programmes.append(Programme(f"programme{number}", 0, 0))
    return lambda number: {"name": f"new{number}", "cap_cents": 1}


def _fill_treasury(ground: Ground) -> None:
    """The treasury has a holding of every security that may live, but for those that the block issues."""
    treasury = treasury_account(ground.network.state)
    for paper in ground.papers(SECURITIES_LIVE_MAX - NEW_SECURITIES):
        ground.holdings(range(treasury, treasury + 1), paper, 0)


def _currency(ground: Ground) -> Callable[[int], Fields]:
    _fill_treasury(ground)
    return lambda number: {"currency": "".join(chr(65 + number // 26**place % 26) for place in range(3))}


def _cash(ground: Ground) -> int:
    return ground.network.holdings("htx", [(ground.money, 0)])[0]


def _cash_issue(ground: Ground) -> Callable[[int], Fields]:
    holding = _cash(ground)
    return lambda number: {
        "holding": holding,
        "amount": 1,
        "debit": sha256(b"debit %d" % number).digest(),
    }


def _cash_destroy(ground: Ground) -> Callable[[int], Fields]:
    holding = _cash(ground)
    ground.network.fund(holding, BALANCE)
    debit = ground.network.state.debits[-1].hash
    return lambda number: {"debit": debit, "holding": holding, "amount": 1}


def _issue(ground: Ground) -> Callable[[int], Fields]:
    _fill_treasury(ground)

    def fields(number: int) -> Fields:
        isin = f"PK{number:09}0"
        isin = isin[:-1] + isin_check_digit(isin)
        return ground.network.bill(
            isin=isin, units=1, jurisdictions=tuple(range(256)), classes=tuple(range(256))
        )

    return fields


def _offer(ground: Ground) -> Callable[[int], Fields]:
    vasps = tuple(ground.vasps(64))
    now = ground.network.time_ms
    return lambda number: {
        "instrument": ground.bill,
        "price_e4": 978_873,
        "units": 1,
        "opens_ms": now,
        "closes_ms": now + DAY_MS,
        "vasps": vasps,
    }


def _offers(ground: Ground) -> Callable[[int], Fields]:
    first = ground.offer
    for _ in range(OFFERS_OPEN_MAX - 1):
        ground.network.offer(ground.bill, 1)
    return lambda number: {"offer": first + number % OFFERS_OPEN_MAX}


def _funding(ground: Ground) -> Callable[[int], Fields]:
    ground.network.fund(ground.network.state.instruments[ground.bill].treasury_cash, BALANCE)
    return lambda number: {"instrument": ground.bill, "amount": 1}


def _freeze(ground: Ground) -> Callable[[int], Fields]:
    return lambda number: {"target": Target.HOLDING, "index": ground.cash[number * 7_919 % CLIENTS]}


def _lift(ground: Ground) -> Callable[[int], Fields]:
    """A long agenda, which every lift looks through for what waits."""
    state = ground.network.state
    due = np.zeros(DUE_ROWS, rows.AGENDA)
    due["progress"] = 3
    state.agenda.extend(due)
    frozen = [
        restrictions.freeze(state, Target.HOLDING, ground.cash[number], NONE, ground.network.time_ms)
        for number in range(MANY)
    ]
    return lambda number: {"restriction": frozen[number % MANY]}


def _restored(ground: Ground) -> Callable[[int], Fields]:
    step = CLIENTS // KYC_RESTORE_ROWS_MAX

    def fields(number: int) -> Fields:
        accounts = ground.clients[number % step :: step][:KYC_RESTORE_ROWS_MAX]
        return {"accounts": tuple(accounts), "kyc_until": rows.FOREVER - number}

    return fields


def _node(ground: Ground) -> Callable[[int], Fields]:
    """As many nodes as there may be, each a validator."""
    state = ground.network.state
    while len(state.nodes) < NODES_MAX - 1:
        index = len(state.nodes)
        name = f"node{index}"
        enrol(state, public(name), Role.NODE, index, 1)
        state.nodes.append(Node(name, index % 4, public(name), 1, NodeRole.VALIDATOR, 0, 0, ()))

    def fields(number: int) -> Fields:
        name = f"new{number}"
        proof = ground.network.prove(name, Role.NODE, "mof", "node4")
        key = public(name)
        return {
            "node": "node4",
            "institution": 0,
            "role": NodeRole.VALIDATOR,
            "power": 1 + number % 2,
            "public_key": key,
            "proof": proof,
        }

    return fields


def _officers(ground: Ground) -> Callable[[int], Fields]:
    """As many new officers as there is room for, refused at the last proof."""
    names = [f"officer {number}" for number in range(OFFICERS_MAX - 3)]
    add = tuple(NewOfficer(public(name), ground.network.prove(name, Role.OFFICER, "mof")) for name in names)
    add = (*add[:-1], replace(add[-1], proof=bytes(64)))
    return lambda number: {
        "institution": 0,
        "title": "",
        "threshold": 0,
        "remove": (),
        "add": add,
        "ca_roots": (),
    }


def _proposals(ground: Ground) -> list[int]:
    """Open proposals to restore the KYC of as many accounts as one act takes."""
    fields = _restored(ground)
    return [
        ground.network.ok("kyc_restore", PVARA.split()[number % 3], **fields(number))[0]
        for number in range(48)
    ]


def _signed(kind: str) -> Worst:
    """Signatures of officers under open proposals: whoever has signed it is refused."""

    def worst(ground: Ground) -> Iterator[Transaction]:
        proposals = _proposals(ground)
        for number in count():
            turn = number + number // len(proposals) + 1
            signer = PVARA.split()[(number if kind == "withdraw" else turn) % 3]
            yield ground.network.tx(kind, signer, proposal=proposals[number % len(proposals)], reason=1)

    return worst


WORST: dict[str, tuple[Worst, ...]] = {
    "transfer": (transfers, transfers_of_many),
    "transfer_batch": (batches_that_pass, batches_that_run_short),
    "account_open": (accounts_with_keys, accounts_whose_last_proof_is_wrong, accounts_of_clients),
    "holding_open": (first_holdings, holdings_of_long_lists),
    "account_update": (account_updates,),
    "offer_take": (takes_that_are_short, takes_that_settle),
    "licence_apply": (licence_applications,),
    "settlement_key_rotate": (key_rotations,),
    "settlement_key_replace": (acts("settlement_key_replace", PVARA, _new_keys),),
    "settlement_key_restore": (acts("settlement_key_restore", VOTING, _new_keys),),
    "approve": (_signed("approve"),),
    "reject": (_signed("reject"),),
    "withdraw": (_signed("withdraw"),),
    "dev_advance_clock": (
        acts("dev_advance_clock", VOTING, lambda ground: lambda number: {"advance_ms": 1}),
    ),
    "vasp_register": (acts("vasp_register", PVARA, _registered),),
    "vasp_noc": (of_vasps("vasp_noc", PVARA, stage=Stage.APPLIED),),
    "vasp_reject": (of_vasps("vasp_reject", PVARA, stage=Stage.NOC),),
    "vasp_goaml": (
        of_vasps("vasp_goaml", "fmu1 fmu2 fmu3", {"reference": "G"}, stage=Stage.NOC, goaml_ms=0),
    ),
    "vasp_subsidiary": (
        of_vasps(
            "vasp_subsidiary",
            "secp1 secp2 secp3",
            {"name": "PK", "number": "1"},
            stage=Stage.NOC,
            subsidiary_ms=0,
        ),
    ),
    "vasp_license": (
        of_vasps("vasp_license", PVARA, {"categories": CATEGORIES}, stage=Stage.LICENCE_APPLIED),
    ),
    "vasp_suspend": (of_vasps("vasp_suspend", PVARA),),
    "vasp_reinstate": (of_vasps("vasp_reinstate", PVARA, stage=Stage.SUSPENDED),),
    "vasp_revoke": (of_vasps("vasp_revoke", PVARA),),
    "vasp_restore": (of_vasps("vasp_restore", VOTING, stage=Stage.REVOKED),),
    "programme_create": (acts("programme_create", EVERYONE, _programme),),
    "fixing_attest": (
        acts(
            "fixing_attest",
            "sbp1 sbp2 sbp3",
            lambda ground: (
                lambda number: {"rate_e4": 2_800_000, "as_of_ms": ground.network.time_ms - 999 + number}
            ),
        ),
    ),
    "cash_define": (acts("cash_define", "sbp1 sbp2 sbp3", _currency),),
    "cash_issue": (acts("cash_issue", "sbp1 sbp2 sbp3", _cash_issue),),
    "cash_destroy": (acts("cash_destroy", "sbp1 sbp2 pvara1 pvara2", _cash_destroy),),
    "instrument_issue": (acts("instrument_issue", EVERYONE, _issue),),
    "offer_open": (acts("offer_open", "mof1 mof2 mof3", _offer),),
    "offer_withdraw": (acts("offer_withdraw", "mof1 mof2 mof3", _offers),),
    "redemption_fund": (acts("redemption_fund", "mof1 mof2 mof3", _funding),),
    "freeze": (acts("freeze", PVARA, _freeze),),
    "lift": (acts("lift", "sbp1 sbp2 pvara1 pvara2", _lift),),
    "kyc_restore": (acts("kyc_restore", PVARA, _restored),),
    "parameter_set": (
        acts(
            "parameter_set",
            VOTING,
            lambda ground: lambda number: {"name": "idle_ms", "value": 500 + number % 9},
        ),
    ),
    "node_update": (acts("node_update", VOTING, _node),),
    "upgrade_schedule": (
        acts(
            "upgrade_schedule",
            VOTING,
            lambda ground: lambda number: {"version": 2 + number, "height": 1_000_000},
        ),
    ),
    "upgrade_cancel": (acts("upgrade_cancel", VOTING, lambda ground: lambda number: {"entry": 0}),),
    "officer_key_rotate": (acts("officer_key_rotate", "mof1 mof2", _officer),),
    "institution_update": (acts("institution_update", VOTING, _officers),),
}
