"""No power of one party is irreversible: every governed kind of which one institution is enough is walked.

What such an act takes from somebody is taken here and given back, and whoever took it signs nothing of the
undoing. What takes from nobody says so, and what holds it where it does harm. The direct kinds, each the act
of one VASP or holder, are in `test_stages.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

from ledger import parameters
from ledger.codes import Code, Refused
from ledger.documents import Approval, Target
from ledger.kinds import BY_NAME
from ledger.policies import default_policies_at, is_met
from ledger.rows import Role
from testing.keys import public
from testing.ledger_network import TITLES, Network, client

VOTERS = ("mof", "sbp", "pvara", "secp")
FREEZERS = ("pvara", "sbp", "fmu")

# What one institution may do and takes from nobody: why, and what holds it where it does harm.
GIVES = {
    "vasp_register": "a record for a key that signed for this name; any freeze of the VASP holds it",
    "vasp_noc": "opens a stage; any freeze of the VASP holds it",
    "vasp_goaml": "states a fact that opens services; PVARA suspends, any freeze holds",
    "vasp_subsidiary": "states a fact that a licence needs; PVARA suspends, any freeze holds",
    "vasp_license": "opens rights; any freeze of the VASP holds them",
    "vasp_reinstate": "opens what a suspension closed; any freeze of the VASP holds it",
    "fixing_attest": "counts for new issues, which need the SBP's approval anyway; the next one replaces it",
    "cash_define": "a currency of which there is nothing yet; any freeze of the instrument holds it",
    "cash_issue": "adds to a holding; any freeze of it holds it, and it is destroyed by two",
    "offer_open": "sells the ministry's own units; any freeze of the instrument holds it",
    "offer_withdraw": "takes back the ministry's own units, of which nobody has paid any",
    "officer_key_rotate": "changes one of its own officers' keys; the others restore it (institution_update)",
    "redemption_fund": "sets aside the ministry's own cash for its holders; what is over comes back to it",
}


class World:
    """A licensed VASP with two clients in cash, and an applicant that opens accounts before its licence."""

    def __init__(self) -> None:
        self.net = net = Network()
        self.vasp, self.applicant = net.license("binance"), net.register("htx")
        net.enact("vasp_noc", "pvara1 pvara2", vasp=self.applicant)
        net.enact("vasp_goaml", "fmu1 fmu2", vasp=self.applicant, reference="G")
        net.define_money()
        self.account, other, money = net.accounts("binance", [client(1), client(2), client(3, 2)])
        self.cash, self.other, funded = net.holdings("binance", [(self.account, 0), (other, 0), (money, 0)])
        net.fund(funded, 1_000)
        net.ok("transfer", "binance", from_holding=funded, to_holding=self.cash, amount=1_000)
        self.newcomers, self.own = 10, "binance"

    def moves(self, key: str = "binance") -> Code:
        """Whether the VASP moves what its client has, with this key."""
        fields = {"from_holding": self.cash, "to_holding": self.other, "amount": 1}
        return Code(self.net.do("transfer", key, **fields).code)

    def onboards(self) -> Code:
        """Whether the applicant opens an account."""
        self.newcomers += 1
        return Code(self.net.do("account_open", "htx", rows=(client(self.newcomers),)).code)

    def pvara(self, kind: str, vasp: int) -> None:
        self.net.enact(kind, "pvara1 pvara2", vasp=vasp)

    def restore(self, vasp: int) -> None:
        """The voting institutions without PVARA return the VASP to where it was."""
        self.net.enact("vasp_restore", _officers([name for name in VOTERS if name != "pvara"]), vasp=vasp)

    def end_kyc(self) -> None:
        """PVARA restores the client's KYC to a moment that is over at once."""
        soon = self.net.time_ms // 1_000 + 1
        self.net.enact("kyc_restore", "pvara1 pvara2", accounts=(self.account,), kyc_until=soon)
        self.net.advance(10_000)

    def renew_kyc(self) -> None:
        later = self.net.time_ms // 1_000 + 1_000
        self.net.ok("account_update", "binance", account=self.account, kyc=bytes(32), kyc_until=later)

    def signs(self) -> Code:
        """Whether the newest key that the VASP has made for itself is its own on the ledger."""
        try:
            return self.moves(self.own)
        except Refused as refused:
            return refused.code

    def replace_key(self) -> None:
        """PVARA puts a key of its own in the place of the VASP's, which does not object for days."""
        self._give_key("settlement_key_replace", ["pvara"], "of-pvara")
        self.net.advance(1_000 * parameters.number(self.net.state, "settlement_key_wait_s"))

    def return_key(self) -> None:
        """The voting institutions without PVARA give the VASP a key again that is its own."""
        self.own = "binance-again"
        others = [name for name in VOTERS if name != "pvara"]
        _, self.net.signers[self.own] = self._give_key("settlement_key_restore", others, self.own)

    def _give_key(self, kind: str, institutions: list[str], name: str) -> tuple[int, ...]:
        proof = self.net.prove(name, Role.SETTLEMENT, "binance")
        fields = {"vasp": self.vasp, "settlement_key": public(name), "proof": proof}
        return self.net.enact(kind, _officers(institutions), **fields)

    def freeze(self, target: Target, by: str) -> None:
        index = {Target.ACCOUNT: self.account, Target.HOLDING: self.cash, Target.VASP: self.vasp}
        self.net.freeze(target, index.get(target, 0), by)

    def lift(self, without: str) -> None:
        (open,) = [index for index, each in enumerate(self.net.state.restrictions) if not each.ended_ms]
        self.net.enact("lift", _officers([name for name in FREEZERS if name != without]), restriction=open)


def _officers(institutions: list[str]) -> str:
    return " ".join(f"{name}{number}" for name in institutions for number in (1, 2))


Step = Callable[[World], None]


@dataclass(frozen=True, slots=True)
class Taking:
    """Acts of one institution alone, and what undoes them without it."""

    kinds: tuple[str, ...]
    by: str
    from_whom: str
    may: Callable[[World], Code]  # what that party could do before
    take: tuple[Step, ...]
    undo: tuple[Step, ...]


def on_vasp(kind: str) -> Step:
    return lambda world: world.pvara(kind, world.vasp)


def on_applicant(kind: str) -> Step:
    return lambda world: world.pvara(kind, world.applicant)


def frozen(target: Target, by: str) -> Step:
    return lambda world: world.freeze(target, by)


def lifted(without: str) -> Step:
    return lambda world: world.lift(without)


def restored(world: World) -> None:
    world.restore(world.vasp)


def applicant_restored(world: World) -> None:
    world.restore(world.applicant)


TAKES = [
    Taking(
        ("vasp_reject",), "pvara", "an applicant: its way to a licence", World.onboards,
        (on_applicant("vasp_reject"),), (applicant_restored,),
    ),
    Taking(
        ("vasp_suspend",), "pvara", "an applicant: its services", World.onboards,
        (on_applicant("vasp_suspend"),), (applicant_restored,),
    ),
    Taking(
        ("vasp_suspend",), "pvara", "a VASP: its business", World.moves,
        (on_vasp("vasp_suspend"),), (restored,),
    ),
    Taking(
        ("vasp_revoke",), "pvara", "a VASP: its licence", World.moves,
        (on_vasp("vasp_revoke"),), (restored,),
    ),
    Taking(
        ("vasp_suspend", "vasp_revoke"), "pvara", "a VASP: its licence, suspended first", World.moves,
        (on_vasp("vasp_suspend"), on_vasp("vasp_revoke")), (restored,),
    ),
    Taking(
        ("kyc_restore",), "pvara", "a client: KYC that was to last", World.moves,
        (World.end_kyc,), (World.renew_kyc,),
    ),
    Taking(
        ("kyc_restore", "vasp_suspend"), "pvara", "a client, and the VASP that could renew", World.moves,
        (World.end_kyc, on_vasp("vasp_suspend")), (restored, World.renew_kyc),
    ),
    Taking(
        ("settlement_key_replace",), "pvara", "a VASP: its key", World.signs,
        (World.replace_key,), (World.return_key,),
    ),
    Taking(
        ("freeze", "settlement_key_replace"), "pvara", "a VASP: its key, while it cannot object", World.signs,
        (frozen(Target.VASP, "pvara"), World.replace_key), (World.return_key, lifted("pvara")),
    ),
    *(
        Taking(
            ("freeze",), by, f"whoever holds: {target.name.lower()}", World.moves,
            (frozen(target, by),), (lifted(by),),
        )
        for by in FREEZERS
        for target in Target
    ),
]  # fmt: skip


@cache
def one_is_enough() -> dict[str, tuple[str, ...]]:
    """For each governed kind the institutions that can do it alone, under the default policies."""
    net = Network()
    found = {}
    for kind in default_policies_at(1):
        policy = net.state.policies[net.state.policies.by_key[kind]]
        found[kind] = tuple(
            name
            for index, name in enumerate(TITLES)
            if is_met(
                policy,
                net.state.institutions,
                [Approval(net.signers[f"{name}{number}"], index, 1, 1, 0) for number in (1, 2, 3)],
                index,
            )
        )
    return found


def test_every_act_that_one_institution_can_do_alone_has_been_thought_through() -> None:
    governed = {kind.name for kind in BY_NAME.values() if kind.governed}
    assert one_is_enough().keys() == governed
    taking = {(kind, taken.by) for taken in TAKES for kind in taken.kinds}
    giving = {(kind, name) for kind in GIVES for name in one_is_enough()[kind]}
    assert taking | giving == {(kind, name) for kind, names in one_is_enough().items() for name in names}
    assert taking & giving == set()


def test_destroying_what_others_have_takes_two_institutions() -> None:
    """Nothing brings destroyed cash back but its issuer: so the issuer alone does not destroy."""
    assert one_is_enough()["cash_destroy"] == ()


@pytest.mark.parametrize("taken", TAKES, ids=lambda taken: f"{taken.by} {taken.from_whom}")
def test_what_one_institution_takes_comes_back_without_it(taken: Taking) -> None:
    world = World()
    assert taken.may(world) is Code.OK
    before = len(world.net.state.proposals)
    for step in taken.take:
        step(world)
    assert {each.act for each in list(world.net.state.proposals)[before:]} == {*taken.kinds}
    assert taken.may(world) is not Code.OK
    done = len(world.net.state.proposals)
    for step in taken.undo:
        step(world)
    acts = list(world.net.state.proposals)[done:]
    assert [*TITLES].index(taken.by) not in {signed.institution for act in acts for signed in act.approvals}
    assert taken.may(world) is Code.OK


@pytest.mark.parametrize("authority", ["sbp", "fmu"])
def test_a_client_whose_kyc_was_restored_for_ever_is_held_by_any_other_authority(authority: str) -> None:
    """It binds the VASP, which may not end it: so somebody else must be able to stop what it opens."""
    world = World()
    world.net.enact("kyc_restore", "pvara1 pvara2", accounts=(world.account,), kyc_until=2**32 - 2)
    ended = {"account": world.account, "kyc": bytes(32), "kyc_until": 0}
    world.net.refused(Code.OUT_OF_RANGE, "account_update", "binance", **ended)
    world.freeze(Target.ACCOUNT, authority)
    assert world.moves() is Code.FROZEN
