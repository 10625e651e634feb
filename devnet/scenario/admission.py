"""Chapter 2: From application to licence, each stage with what it may not do yet."""

from client.errors import CallRefused
from client.transactions import offer_rows
from devnet.scenario.figures import PAKISTAN, PILOT
from devnet.scenario.people import Vasp
from devnet.scenario.story import Story
from devnet.watching import require
from ledger.codes import Code
from ledger.rows import AccountType, Role


async def play(story: Story) -> str:
    """Chapter 2: From application to licence, each stage with what it may not do yet."""
    for vasp in story.vasps:
        created = await story.actors.enact(
            ["pvara"],
            "vasp_register",
            name=vasp.name,
            title=vasp.name.capitalize(),
            settlement_key=vasp.wallet.public_key,
            proof=vasp.wallet.prove(Role.SETTLEMENT, vasp.name),
        )
        vasp.index = created[0]
        await story.client.align(vasp.wallet)
        await story.actors.enact(["pvara"], "vasp_noc", vasp=vasp.index)
    early = await _distribution_refused(story, story.binance)
    story.note_refusal("stage_not_reached", early)
    require("LICENSED" in early.rule, f"the refusal does not name the missing stage: {early.rule}")

    binance, htx = story.vasps
    await story.actors.enact(["fmu"], "vasp_goaml", vasp=binance.index, reference="GOAML-BN-1")
    await story.actors.enact(
        ["secp"], "vasp_subsidiary", vasp=htx.index, name="HTX Pakistan", number="0200002"
    )
    await story.open_accounts(binance, PILOT)
    story.note_refusal("cap_exceeded", await _account_refused(story, binance))
    require(
        (await _distribution_refused(story, binance)).code == Code.STAGE_NOT_REACHED,
        "distribution before the licence is not refused for its stage",
    )
    await story.actors.enact(
        ["secp"], "vasp_subsidiary", vasp=binance.index, name="Binance Pakistan", number="0200001"
    )
    await story.actors.enact(["fmu"], "vasp_goaml", vasp=htx.index, reference="GOAML-HTX-1")
    for vasp in story.vasps:
        categories = ("exchange", "custody")
        await story.actors.perform(vasp.wallet, "licence_apply", categories=categories)
        await story.actors.enact(["pvara"], "vasp_license", vasp=vasp.index, categories=categories)
        reply = await story.client.vasp_get(vasp.index)
        require(reply.stage.name == "LICENSED", f"{vasp.name} is {reply.stage.name}")
    return "NOC, goAML, subsidiary, licence for binance and htx; refused at each stage before its time"


async def _distribution_refused(story: Story, vasp: Vasp) -> CallRefused:
    return await story.actors.refusal(vasp.wallet, "offer_take", offer=0, rows=offer_rows([(0, 0, 1)]))


async def _account_refused(story: Story, vasp: Vasp) -> CallRefused:
    row = story.account_row(vasp, 0, AccountType.CUSTODIAL, None, PAKISTAN)
    return await story.actors.refusal(vasp.wallet, "account_open", rows=[row])
