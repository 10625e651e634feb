"""The wallet's counter against the ledger's window, and the building of every kind of transaction."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.reads.accounts import SignerReply
from client import transactions
from client.errors import ClientError, WindowFull
from client.transactions import BadPayload
from client.wallet import Wallet, sign_together
from ledger import window
from ledger.codes import Code
from ledger.kinds import BY_NAME
from ledger.limits import TRANSACTION_BYTES_MAX
from ledger.terms.discount import Discount
from ledger.transactions import decode_transaction, sign_input
from primitives.codec import pack
from primitives.signatures import public_key_of, verify
from testing.keys import key, public

GENESIS = bytes(range(32))


def wallet(name: str = "htx", signer: int = 3, highest: int = 0) -> Wallet:
    return Wallet(key(name), GENESIS, signer=signer, highest=highest, clock=lambda: 1_000.0)


def reply(highest: int | None, bitmap: int | None, signer: int = 3, name: str = "htx") -> SignerReply:
    return SignerReply(
        height=1, signer=signer, public_key=public(name), role="vasp", owner=0, officer_number=0,
        status="in_force", highest=highest, bitmap=bitmap,
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), highest=st.integers(0, 200))
def test_whatever_the_order_of_blocks_no_sequence_handed_out_falls_out_of_the_window(
    seed: int, highest: int
) -> None:
    draw = random.Random(seed)
    purse = wallet(highest=highest)
    state = (highest, 1 if highest else 0)
    under_way: list[int] = []
    for _ in range(300):
        if draw.random() < 0.6:
            try:
                under_way.append(purse.take_sequence())
            except WindowFull:
                assert under_way
        elif under_way:
            sequence = under_way.pop(draw.randrange(len(under_way)))
            assert window.check(*state, sequence) is Code.OK
            state = window.use(*state, sequence)
            purse.settled(sequence)


def test_sixty_four_are_handed_out_and_no_more_until_one_is_in_a_block() -> None:
    purse = wallet()
    taken = [purse.take_sequence() for _ in range(64)]
    with pytest.raises(WindowFull):
        purse.take_sequence()

    purse.settled(taken[0])

    assert (taken, purse.take_sequence()) == (list(range(1, 65)), 65)


def test_an_unsettled_old_one_holds_the_counter_back_though_newer_ones_are_in_blocks() -> None:
    purse = wallet()
    taken = [purse.take_sequence() for _ in range(64)]
    for sequence in taken[1:]:
        purse.settled(sequence)

    with pytest.raises(WindowFull):
        purse.take_sequence()


def test_aligning_moves_the_counter_forward_and_forgets_what_the_ledger_has_used() -> None:
    purse = wallet()
    for _ in range(64):
        purse.take_sequence()

    purse.align(reply(highest=64, bitmap=2**64 - 1))

    assert purse.take_sequence() == 65
    purse.align(reply(highest=10, bitmap=1))
    assert purse.take_sequence() == 66


def test_a_wallet_takes_no_other_keys_window() -> None:
    with pytest.raises(ClientError):
        wallet().align(reply(highest=1, bitmap=1, name="binance"))


def test_a_wallet_takes_no_window_that_was_not_told() -> None:
    with pytest.raises(ClientError, match="ask signed"):
        wallet().align(reply(highest=None, bitmap=None))


def test_a_wallet_without_its_index_says_so() -> None:
    with pytest.raises(ClientError, match="not known yet"):
        Wallet(key("htx"), GENESIS).build("transfer", from_holding=1, to_holding=2, amount=3)


def test_a_transaction_is_signed_for_its_chain_and_expires() -> None:
    signed = wallet().build("transfer", from_holding=1, to_holding=2, amount=3)
    decoded = decode_transaction(signed.raw)

    assert (decoded.signers, decoded.sequence, decoded.valid_until) == ((3,), 1, 1_600)
    assert decoded.id == signed.id
    assert verify(public("htx"), sign_input(GENESIS, decoded.body), decoded.signatures[0])
    assert not verify(public("htx"), sign_input(bytes(32), decoded.body), decoded.signatures[0])
    assert len(signed.raw) <= 100


APPROVAL = transactions.payload("approve", proposal=0, act=bytes(32), reason=1)


def test_several_sign_together_in_the_order_of_their_indices() -> None:
    purses = [wallet("b", 9), wallet("a", 4, highest=7)]
    signed = sign_together(purses, "approve", APPROVAL)
    decoded = decode_transaction(signed.raw)

    assert (decoded.signers, decoded.sequence) == ((4, 9), 8)
    for purse, signature in zip(reversed(purses), decoded.signatures, strict=True):
        assert verify(public_key_of(purse.private_key), sign_input(GENESIS, decoded.body), signature)


def test_one_key_does_not_sign_twice() -> None:
    purses = [wallet("a", 4), wallet("a", 4)]
    with pytest.raises(transactions.BadPayload, match="signer 4"):
        sign_together(purses, "approve", APPROVAL)
    assert purses[0].take_sequence() == 1


SAMPLES: dict[str, dict[str, object]] = {
    "transfer": {"from_holding": 1, "to_holding": 2, "amount": 2**63 - 1},
    "transfer_batch": {"rows": transactions.transfer_rows([(1, 2, 3), (4, 5, 2**62)])},
    "account_open": {
        "rows": [
            {
                "type": 0, "kyc": bytes(32), "kyc_until": 9, "jurisdiction": 586, "investor_class": 1,
                "owner_key": b"", "proof": b"",
            }
        ]
    },
    "vasp_register": {"name": "htx", "title": "HTX", "settlement_key": public("htx"), "proof": bytes(64)},
    "vasp_license": {"vasp": 0, "categories": ("custody", "exchange")},
    "instrument_issue": {
        "programme": 0, "cash": 0, "isin": "PK0012345671", "units": 2_000_000,
        "jurisdictions": (586,), "classes": (), "terms_hash": bytes(32),
        "register": 1, "reference": "", "terms": Discount(500_000, 20_780, 20_864, 93_784),
    },
    "parameter_set": {"name": "aml_registered_services", "value": ("account_open", "transfer")},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_payload_is_built_from_python_values_and_from_json_alike(name: str) -> None:
    built = transactions.payload(name, **SAMPLES[name])
    object_ = transactions.as_object(SAMPLES[name])

    assert isinstance(built, BY_NAME[name].payload)
    assert transactions.payload_from_object(name, object_) == built
    assert pack(decode_transaction(wallet().sign(name, built).raw).payload) == pack(built)


def test_nobody_signs_a_ca_root_that_no_node_would_trust() -> None:
    unchanged = {"institution": 0, "title": "", "threshold": 0, "remove": (), "add": ()}
    with pytest.raises(
        BadPayload, match=r"institution_update: ca_roots\[0\]\.der: is not a root certificate"
    ):
        transactions.payload(
            "institution_update", **unchanged, ca_roots=({"der": b"not a certificate", "until_ms": 0},)
        )


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_kind_of_the_registry_says_which_fields_it_lacks(name: str) -> None:
    """A kind that the ledger gains is known to the client by itself."""
    with pytest.raises(BadPayload, match=name):
        transactions.payload(name, nonsense=1)


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("transfer", {"from_holding": 1, "to_holding": 2}, "amount"),
        ("transfer", {"from_holding": 1, "to_holding": 2, "amount": 0}, "amount"),
        ("transfer", {"from_holding": 1, "to_holding": 2, "amount": 2**63}, "amount"),
        ("transfer", {"from_holding": 1, "to_holding": 2, "amount": 1.0}, "amount"),
        ("transfer", {"from_holding": 1, "to_holding": 2, "amount": 1, "memo": "x"}, "memo"),
        ("instrument_issue", SAMPLES["instrument_issue"] | {"isin": "PK0012345672"}, "isin"),
        ("teleport", {}, "kind"),
    ],
)
def test_a_payload_that_the_ledger_would_call_malformed_is_not_built(
    kind: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(BadPayload, match=said):
        transactions.payload(kind, **fields)


def test_a_full_batch_fits_into_one_transaction() -> None:
    rows = transactions.transfer_rows([(2**32 - 2, 2**32 - 2, 2**63 - 1)] * 8192)

    assert len(wallet().build("transfer_batch", rows=rows).raw) <= TRANSACTION_BYTES_MAX
