"""The life of one treasury bill, from genesis to redemption, as a pure ledger: signed blocks, no process.

Conservation is checked after every block by `Network.block`.
"""

import random

import pytest

from ledger import admission, maturity, programmes, terms
from ledger.codes import Code, Refused
from ledger.documents import InstrumentStatus, OfferStatus, ProposalStatus, Stage, Target
from ledger.rows import FROZEN, AccountType
from ledger.transactions import decode_transaction
from ledger.versions import rules
from testing.ledger_network import BILL, CATEGORIES, DAY_MS, ISIN, Network, client, packed, said

CLIENTS = 1_000
OWNERS = 8
TRADES = 50_000
BATCH = 8_000
PRICE = 978_873


def cost(units: int) -> int:
    return units * 500_000 * PRICE // 10**6


def test_a_treasury_bill_from_genesis_to_redemption() -> None:
    net = Network()
    state = net.state

    # 2. Admission: HTX takes its two facts in the other order.
    vasps = {}
    for name in ("binance", "htx"):
        vasps[name] = net.register(name)
        proposal = net.ok("vasp_noc", "pvara1", vasp=vasps[name])[0]
        assert net.proposal(proposal).status is ProposalStatus.OPEN
        net.refused(Code.DUPLICATE_OFFICER, "approve", "pvara1", proposal=proposal, reason=0)
        net.ok("approve", "pvara2", proposal=proposal, reason=7)
        assert net.vasp(name).stage is Stage.NOC
    refused = net.refused(
        Code.STAGE_NOT_REACHED, "offer_take", "binance", offer=0, rows=packed([(0, 0, 1)], 4, 4, 8)
    )
    assert said(refused) == ("vasp.stage", "NOC", "offer_take needs stage LICENSED")
    net.refused(Code.STAGE_NOT_REACHED, "account_open", "binance", rows=(client(0),))
    net.enact("vasp_goaml", "fmu1 fmu3", vasp=vasps["binance"], reference="goAML-17")
    net.enact("vasp_subsidiary", "secp1 secp2", vasp=vasps["htx"], name="HTX Pakistan", number="0200")
    net.accounts("binance", [client(number) for number in range(10)])
    capped = net.refused(Code.CAP_EXCEEDED, "account_open", "binance", rows=(client(10),))
    assert "10 accounts" in said(capped).rule
    net.refused(Code.STAGE_NOT_REACHED, "offer_take", "binance", offer=0, rows=packed([(0, 0, 1)], 4, 4, 8))
    net.enact("vasp_subsidiary", "secp2 secp3", vasp=vasps["binance"], name="Binance Pakistan", number="0100")
    net.enact("vasp_goaml", "fmu2 fmu3", vasp=vasps["htx"], reference="goAML-18")
    for name, vasp in vasps.items():
        net.ok("licence_apply", name, categories=CATEGORIES)
        net.enact("vasp_license", "pvara2 pvara3", vasp=vasp, categories=CATEGORIES)
        assert net.vasp(name).stage is Stage.LICENSED

    # 3. Programme, fixing, cash.
    programme = net.ok("programme_create", "mof1 mof2", name="bills", cap_cents=200_000_000_000)[0]
    net.ok("approve", "sbp1 sbp2", proposal=programme, reason=0)
    net.ok("approve", "pvara1", proposal=programme, reason=0)
    assert len(state.programmes) == 0
    net.ok("approve", "pvara2", proposal=programme, reason=0)
    assert len(state.programmes) == 1
    net.fix()
    net.enact("cash_define", "sbp1 sbp2", currency="PKR")
    pkr = 0

    # 4. Issue: in the block that completes the policy, never before.
    issue = net.ok("instrument_issue", "mof1 mof2", **BILL)[0]
    net.ok("approve", "sbp1 sbp2", proposal=issue, reason=0)
    assert ISIN not in state.instrument_by_isin
    net.ok("approve", "pvara1 pvara3", proposal=issue, reason=0)
    bill = state.instrument_by_isin[ISIN]
    assert net.proposal(issue).status is ProposalStatus.EXECUTED
    assert [approval.institution for approval in net.proposal(issue).approvals] == [0, 0, 1, 1, 2, 2]
    instrument = state.instruments[bill]
    assert (terms.price_e4(instrument.terms), instrument.supply) == (PRICE, 2_000_000)
    assert net.balance(instrument.treasury_holding) == 2_000_000
    further = {**BILL, "isin": "US0378331005"}
    full = net.ok("instrument_issue", "mof1", **{**further, "units": 110_000_000})[0]
    net.refused(Code.CAP_EXCEEDED, "instrument_issue", "mof1", **{**further, "units": 110_000_001})
    net.ok("withdraw", "mof1", proposal=full, reason=1)
    assert net.proposal(full).status is ProposalStatus.WITHDRAWN

    # 5. Accounts, holdings, cash, the offer.
    owners = {name: [f"owner-{number}-of-{name}" for number in range(OWNERS)] for name in vasps}
    cash: dict[str, list[int]] = {}
    bills: dict[str, list[int]] = {}
    money: dict[str, int] = {}
    for name in vasps:
        rows = [
            client(number, jurisdiction=840 if number == CLIENTS - 1 else 586) for number in range(CLIENTS)
        ]
        rows += [client(number, AccountType.SELF_CUSTODY, owner) for number, owner in enumerate(owners[name])]
        rows.append(client(0, AccountType.CLIENT_MONEY))
        created = net.accounts(name, rows)
        accounts, signers = created[: len(rows)], created[len(rows) :]
        net.signers |= dict(zip(owners[name], signers, strict=True))
        cash[name] = list(net.holdings(name, [(account, pkr) for account in accounts]))
        bills[name] = list(net.holdings(name, [(account, bill) for account in accounts[:-1]]))
        money[name] = cash[name].pop()
        net.fund(money[name], CLIENTS * cost(41))
        rows_of_cash = [(money[name], holding, cost(41)) for holding in cash[name][:CLIENTS]]
        assert net.do("transfer_batch", name, rows=packed(rows_of_cash, 4, 4, 8)).rows == b""
        assert net.balance(money[name]) == 0
    debit = state.debits[0].hash
    net.refused(Code.DEBIT_ALREADY_USED, "cash_issue", "sbp1", holding=money["htx"], amount=1, debit=debit)
    offer = net.offer(bill, 60_000)
    for name in vasps:
        takes = [(bills[name][n], cash[name][n], 1 + n % 40) for n in range(CLIENTS - 1)]
        assert net.do("offer_take", name, offer=offer, rows=packed(takes, 4, 4, 8)).rows == b""
        for security, paid, units in takes[:50]:
            assert net.balance(security) == units
            assert net.balance(paid) == cost(41) - cost(units)
    sold = state.offers[offer].taken
    assert sold == 2 * sum(1 + n % 40 for n in range(CLIENTS - 1))
    assert net.balance(instrument.treasury_cash) == 2 * sum(cost(1 + n % 40) for n in range(CLIENTS - 1))

    # Delivery versus payment: too little cash leaves both legs as they were, and its neighbour settles.
    short = [(bills["htx"][39], cash["htx"][39], 2), (bills["htx"][0], cash["htx"][0], 2)]
    before = [net.balance(holding) for row in short for holding in row[:2]]
    result = net.do("offer_take", "htx", offer=offer, rows=packed(short, 4, 4, 8))
    assert result.code == Code.OK
    assert result.rows == packed([(Code.DVP_CASH_SHORT,), (0,)], 2)
    after = [net.balance(holding) for row in short for holding in row[:2]]
    assert after[:2] == before[:2]
    assert after[2:] == [before[2] + 2, before[3] - 978_873]
    abroad = [(bills["htx"][CLIENTS - 1], cash["htx"][CLIENTS - 1], 1)]
    result = net.do("offer_take", "htx", offer=offer, rows=packed(abroad, 4, 4, 8))
    assert result.rows == packed([(Code.INELIGIBLE,)], 2)
    net.refused(
        Code.NOT_AUTHORISED,
        "transfer",
        "htx",
        from_holding=cash["binance"][0],
        to_holding=cash["htx"][0],
        amount=1,
    )

    # The window closes: what nobody took is cancelled.
    net.advance(2 * DAY_MS)
    closed = state.offers[offer]
    assert closed.status is OfferStatus.CLOSED
    assert closed.cancelled == 60_000 - sold - 2
    assert state.instruments[bill].supply == 2_000_000 - closed.cancelled
    net.refused(Code.OFFER_CLOSED, "offer_take", "htx", offer=offer, rows=packed(abroad, 4, 4, 8))

    # 6. Trading.
    draw = random.Random(1)
    for start in range(0, TRADES, BATCH):
        for name in vasps:
            others = bills["binance"][: CLIENTS - 1] + bills["htx"][: CLIENTS - 1]
            mine = bills[name][: CLIENTS - 1]
            count = min(BATCH, TRADES - start) // 2
            trades = []
            while len(trades) < count:
                source, target = draw.choice(mine), draw.choice(others)
                if source != target:
                    trades.append((source, target, 1))
            assert net.do("transfer_batch", name, rows=packed(trades, 4, 4, 8)).code == Code.OK
    for name in vasps:
        rich = sorted(bills[name][: CLIENTS - 1], key=net.balance)[-1]
        gifts = [(rich, holding, 3) for holding in bills[name][CLIENTS:]]
        assert net.do("transfer_batch", name, rows=packed(gifts, 4, 4, 8)).rows == b""
    for number in range(200):
        name = ("binance", "htx")[number % 2]
        place = number // 2 % OWNERS
        source, target = bills[name][CLIENTS + place], bills[name][CLIENTS + (place + 1) % OWNERS]
        net.ok("transfer", owners[name][place], from_holding=source, to_holding=target, amount=1)

    owner, own = owners["htx"][0], bills["htx"][CLIENTS]
    poor = {"from_holding": own, "to_holding": bills["htx"][0]}
    net.refused(Code.OVERDRAFT, "transfer", owner, **poor, amount=1_000)
    net.refused(Code.NOT_AUTHORISED, "transfer", "htx", **poor, amount=1)
    net.refused(Code.NOT_AUTHORISED, "transfer", owners["htx"][1], **poor, amount=1)
    net.refused(
        Code.INELIGIBLE, "transfer", owner, from_holding=own, to_holding=bills["htx"][CLIENTS - 1], amount=1
    )
    held = next(holding for holding in bills["htx"][:CLIENTS] if net.balance(holding))
    frozen_account = state.holdings[held].account
    freeze = net.freeze(Target.ACCOUNT, frozen_account, "fmu")
    net.refused(Code.FROZEN, "transfer", "htx", from_holding=held, to_holding=own, amount=1)

    # What never reaches a block.
    tx = net.tx("transfer", owner, **poor, amount=1)
    net.block(tx)
    with pytest.raises(Refused) as used:
        net.block(tx)
    assert used.value.code is Code.SEQUENCE_USED
    stranger = net.tx("transfer", owner, **poor, amount=1)
    with pytest.raises(Refused) as foreign:
        admission.check_envelope(state, stranger, b"\1" * 32, net.header_ms, rules(1))
    assert foreign.value.code is Code.BAD_SIGNATURE
    with pytest.raises(Refused) as late:
        admission.check_envelope(state, stranger, net.hash, net.header_ms + 3_600_000, rules(1))
    assert late.value.code is Code.EXPIRED
    with pytest.raises(Refused) as broken:
        decode_transaction(stranger.raw[:-1])
    assert broken.value.code is Code.MALFORMED

    # 8. Maturity.
    net.advance(terms.closes_ms(state.instruments[bill].terms) - net.time_ms + 2_000)
    matured = state.instruments[bill]
    assert matured.status is InstrumentStatus.MATURED_UNPAID
    net.refused(Code.TRANSFERS_CLOSED, "transfer", owner, **poor, amount=1)
    due = maturity.redemption_due(state, matured)
    needed = due - net.balance(matured.treasury_cash)
    net.fund(matured.treasury_cash, needed + 77)
    net.enact("redemption_fund", "mof1 mof3", instrument=bill, amount=due - 1)
    net.block()
    assert state.instruments[bill].status is InstrumentStatus.MATURED_UNPAID
    everyone = [holding for name in vasps for holding in bills[name]]
    owed = {state.holdings[holding].account: net.balance(holding) * 500_000 for holding in everyone}
    had = {account: net.balance(found(net, account, pkr)) for account in owed}
    net.enact("redemption_fund", "mof1 mof3", instrument=bill, amount=78)
    net.block()
    redeemed = state.instruments[bill]
    assert (redeemed.status, redeemed.supply) == (InstrumentStatus.REDEEMED, 0)
    for account, face in owed.items():
        assert net.balance(found(net, account, pkr)) == had[account] + face
    assert all(net.balance(holding) == 0 for holding in everyone)
    assert net.balance(redeemed.pool_cash) == 0
    frozen_cash = found(net, frozen_account, pkr)
    assert state.accounts[frozen_account].flags & FROZEN
    assert not any(state.accounts[account].flags for account in owed if account != frozen_account)
    paid = {"from_holding": frozen_cash, "to_holding": cash["htx"][1], "amount": 1}
    net.refused(Code.FROZEN, "transfer", "htx", **paid)
    net.lift(freeze)
    net.ok("transfer", "htx", **paid)
    fixing = programmes.newest_fixing(state)
    assert fixing is not None
    assert programmes.used_cents(state, 0, fixing) == 0


def found(net: Network, account: int, instrument: int) -> int:
    holding = net.state.holding_of(account, instrument)
    assert holding is not None
    return holding
