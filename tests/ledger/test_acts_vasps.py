"""The lifecycle of a VASP, and what each stage and category may send."""

import pytest

from ledger import rights
from ledger.codes import Code, Refused
from ledger.documents import Stage, Vasp
from ledger.fields import FIELD_NAMES
from ledger.rows import Role
from ledger.words import words_of
from testing.keys import public
from testing.ledger_network import CATEGORIES, Network, client

PVARA = "pvara1 pvara2"


@pytest.fixture
def net() -> Network:
    return Network()


def vasp(stage: Stage, categories: tuple[str, ...] = (), goaml_ms: int = 0) -> Vasp:
    return Vasp("x", "X", 0, stage, stage, 1, goaml_ms, "", 0, "", "", 0, (), 0, categories, 0, False, -1)


def may(record: Vasp, act: str, services: tuple[str, ...] = (rights.ACCOUNT_OPEN,)) -> bool:
    try:
        rights.require(record, act, services)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in (Stage.LICENSED, Stage.REVOKED)])
@pytest.mark.parametrize(
    "act", [rights.OFFER_TAKE, rights.TRANSFER_CASH, rights.TRANSFER_SECURITY, rights.SELF_CUSTODY_OPEN]
)
def test_nothing_but_a_licence_opens_distribution(stage: Stage, act: str) -> None:
    every_category = rights.CATEGORIES
    assert not may(vasp(stage, every_category, goaml_ms=1), act, (act, rights.ACCOUNT_OPEN))


def test_services_open_with_goaml_registration_if_the_parameter_lists_them() -> None:
    for stage in (Stage.NOC, Stage.LICENCE_APPLIED):
        assert may(vasp(stage, goaml_ms=1), rights.ACCOUNT_OPEN)
        assert not may(vasp(stage), rights.ACCOUNT_OPEN)
        assert not may(vasp(stage, goaml_ms=1), rights.HOLDING_OPEN)
    for stage in (Stage.APPLIED, Stage.REJECTED, Stage.SUSPENDED, Stage.REVOKED):
        assert not may(vasp(stage, goaml_ms=1), rights.ACCOUNT_OPEN)


def test_a_licence_covers_its_categories_only() -> None:
    assert may(vasp(Stage.LICENSED, ("exchange",)), rights.OFFER_TAKE)
    assert not may(vasp(Stage.LICENSED, ("custody",)), rights.OFFER_TAKE)
    assert may(vasp(Stage.LICENSED, ("custody",)), rights.TRANSFER_SECURITY)
    assert not may(vasp(Stage.LICENSED, ("lending",)), rights.TRANSFER_SECURITY)


def test_revoked_lets_clients_exit_and_nothing_else() -> None:
    revoked = vasp(Stage.REVOKED, rights.CATEGORIES)
    assert [act for act in rights.RIGHTS if may(revoked, act)] == [rights.EXIT]


def test_the_refusal_names_the_stage_that_is_missing() -> None:
    with pytest.raises(Refused) as refused:
        rights.require(vasp(Stage.NOC), rights.OFFER_TAKE, ())
    assert words_of(refused.value) == ("vasp.stage", "NOC", "offer_take needs stage LICENSED")


def test_the_lifecycle_goes_in_its_order(net: Network) -> None:
    index = net.register("binance")
    net.refused(Code.STAGE_NOT_REACHED, "vasp_goaml", "fmu1", vasp=index, reference="G")
    net.refused(Code.STAGE_NOT_REACHED, "vasp_subsidiary", "secp1", vasp=index, name="B", number="1")
    net.refused(Code.STAGE_NOT_REACHED, "licence_apply", "binance", categories=CATEGORIES)
    net.refused(Code.STAGE_NOT_REACHED, "vasp_license", "pvara1", vasp=index, categories=CATEGORIES)
    net.enact("vasp_noc", PVARA, vasp=index)
    net.refused(Code.WRONG_STATUS, "vasp_noc", "pvara1", vasp=index)
    net.refused(Code.STAGE_NOT_REACHED, "vasp_license", "pvara1", vasp=index, categories=CATEGORIES)
    net.ok("licence_apply", "binance", categories=("lending",))
    net.ok("licence_apply", "binance", categories=CATEGORIES)  # what was filed in error is filed again
    no_goaml = net.refused(
        Code.STAGE_NOT_REACHED, "vasp_license", "pvara1", vasp=index, categories=CATEGORIES
    )
    assert FIELD_NAMES[no_goaml.field] == "vasp.goaml_ms"
    net.enact("vasp_goaml", "fmu1 fmu2", vasp=index, reference="G")
    net.refused(Code.ALREADY_EXISTS, "vasp_goaml", "fmu1", vasp=index, reference="G")
    no_company = net.refused(
        Code.STAGE_NOT_REACHED, "vasp_license", "pvara1", vasp=index, categories=CATEGORIES
    )
    assert FIELD_NAMES[no_company.field] == "vasp.subsidiary_ms"
    net.enact("vasp_subsidiary", "secp1 secp2", vasp=index, name="B", number="1")
    net.refused(Code.ALREADY_EXISTS, "vasp_subsidiary", "secp1", vasp=index, name="B", number="1")
    net.refused(Code.NOT_FOUND, "vasp_license", "pvara1", vasp=index, categories=("lending",))
    net.enact("vasp_license", PVARA, vasp=index, categories=("custody",))
    record = net.vasp("binance")
    assert (record.stage, record.categories) == (Stage.LICENSED, ("custody",))
    assert 0 < record.noc_ms < record.applied_ms < record.goaml_ms < record.subsidiary_ms < record.licensed_ms
    net.refused(Code.WRONG_STATUS, "vasp_reject", "pvara1", vasp=index)


def test_categories_are_known_ones_each_once(net: Network) -> None:
    index = net.register("binance")
    net.enact("vasp_noc", PVARA, vasp=index)
    net.refused(Code.NOT_FOUND, "licence_apply", "binance", categories=("casino",))
    net.refused(Code.OUT_OF_RANGE, "licence_apply", "binance", categories=("custody", "custody"))


@pytest.mark.parametrize("last", ["vasp_noc", "licence_apply", "vasp_license"])
def test_a_suspended_vasp_returns_to_where_it_was(net: Network, last: str) -> None:
    index = net.register("binance")
    net.enact("vasp_noc", PVARA, vasp=index)
    if last != "vasp_noc":
        net.ok("licence_apply", "binance", categories=CATEGORIES)
    if last == "vasp_license":
        net.enact("vasp_goaml", "fmu1 fmu2", vasp=index, reference="G")
        net.enact("vasp_subsidiary", "secp1 secp2", vasp=index, name="B", number="1")
        net.enact("vasp_license", PVARA, vasp=index, categories=CATEGORIES)
    before = net.vasp("binance").stage
    net.refused(Code.WRONG_STATUS, "vasp_reinstate", "pvara1", vasp=index)
    net.enact("vasp_suspend", PVARA, vasp=index)
    assert net.vasp("binance").stage is Stage.SUSPENDED
    net.refused(Code.STAGE_NOT_REACHED, "account_open", "binance", rows=(client(1),))
    net.enact("vasp_reinstate", PVARA, vasp=index)
    assert net.vasp("binance").stage is before


def test_for_pvara_rejection_and_revocation_are_final(net: Network) -> None:
    rejected = net.register("rejected")
    net.enact("vasp_reject", PVARA, vasp=rejected)
    revoked = net.license("revoked")
    net.enact("vasp_revoke", PVARA, vasp=revoked)
    for index in (rejected, revoked):
        for kind in ("vasp_noc", "vasp_reject", "vasp_suspend", "vasp_reinstate", "vasp_revoke"):
            net.refused(Code.WRONG_STATUS, kind, "pvara1", vasp=index)


VOTERS = "mof1 mof2 sbp1 sbp2 secp1 secp2"


@pytest.mark.parametrize("ends", [("vasp_suspend",), ("vasp_revoke",), ("vasp_suspend", "vasp_revoke")])
def test_the_network_returns_a_licensed_vasp_to_its_licence(net: Network, ends: tuple[str, ...]) -> None:
    index = net.license("binance")
    before = net.vasp("binance")
    net.refused(Code.WRONG_STATUS, "vasp_restore", "mof1", vasp=index)
    for kind in ends:
        net.enact(kind, PVARA, vasp=index)
    net.enact("vasp_restore", VOTERS, vasp=index)
    assert net.vasp("binance") == before
    net.enact("vasp_revoke", PVARA, vasp=index)  # and PVARA may come to the same view once more


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_network_returns_an_applicant_to_where_it_was_turned_down(net: Network, steps: int) -> None:
    index = net.register("binance")
    if steps > 0:
        net.enact("vasp_noc", PVARA, vasp=index)
    if steps > 1:
        net.ok("licence_apply", "binance", categories=CATEGORIES)
    before = net.vasp("binance")
    net.enact("vasp_reject", PVARA, vasp=index)
    assert (net.vasp("binance").stage, net.vasp("binance").returns_to) == (Stage.REJECTED, before.stage)
    net.enact("vasp_restore", VOTERS, vasp=index)
    assert net.vasp("binance") == before


def test_clients_leave_a_revoked_vasp_and_none_arrive(net: Network) -> None:
    old, new = net.license("old"), net.license("new")
    net.define_money()
    a, b, pool = net.accounts("old", [client(1), client(2), client(3, 2)])
    cash_a, cash_b, money = net.holdings("old", [(a, 0), (b, 0), (pool, 0)])
    (c,) = net.accounts("new", [client(4)])
    (cash_c,) = net.holdings("new", [(c, 0)])
    net.fund(money, 100)
    net.ok("transfer", "old", from_holding=money, to_holding=cash_a, amount=100)
    net.enact("vasp_revoke", PVARA, vasp=old)
    net.refused(Code.STAGE_NOT_REACHED, "transfer", "old", from_holding=cash_a, to_holding=cash_b, amount=1)
    net.ok("transfer", "old", from_holding=cash_a, to_holding=cash_c, amount=60)
    net.refused(Code.STAGE_NOT_REACHED, "transfer", "new", from_holding=cash_c, to_holding=cash_a, amount=1)
    assert new == 1


def test_registration_takes_a_new_name_and_a_sound_key_once(net: Network) -> None:
    net.register("binance")
    fields = {"name": "other", "title": "Other", "settlement_key": public("other"), "proof": bytes(64)}
    net.refused(Code.BAD_PROOF, "vasp_register", "pvara1", **fields)
    rival = net.prove("other", Role.SETTLEMENT, "third")
    net.refused(Code.BAD_PROOF, "vasp_register", "pvara1", **{**fields, "proof": rival})
    net.refused(Code.ALREADY_EXISTS, "vasp_register", "pvara1", **{**fields, "name": "binance"})
    net.refused(Code.BAD_IDENTIFIER, "vasp_register", "pvara1", **{**fields, "name": "Other!"})
    taken = {**fields, "settlement_key": public("binance")}
    net.refused(Code.KEY_ALREADY_ENROLLED, "vasp_register", "pvara1", **taken)
    officer = {**fields, "settlement_key": public("mof1")}
    net.refused(Code.KEY_ALREADY_ENROLLED, "vasp_register", "pvara1", **officer)
    node = {**fields, "settlement_key": public("node of mof")}
    net.refused(Code.KEY_ALREADY_ENROLLED, "vasp_register", "pvara1", **node)
    net.refused(Code.BAD_KEY, "vasp_register", "pvara1", **{**fields, "settlement_key": bytes(32)})


def test_the_cap_of_accounts_ends_with_the_licence(net: Network) -> None:
    net.license("binance")
    net.accounts("binance", [client(number) for number in range(11)])
