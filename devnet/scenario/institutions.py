"""Chapter 1: Who is there: institutions, officers, policies, validators."""

from devnet.scenario.story import Story
from devnet.watching import require


async def play(story: Story) -> str:
    """Chapter 1: Who is there: institutions, officers, policies, validators."""
    status = await story.client.chain_status()
    require(status.genesis_hash == story.actors.genesis_hash, "the chain is not that of our genesis")
    institutions = (await story.client.institution_list()).items
    names = {institution.name: institution for institution in institutions}
    for name in ("mof", "sbp", "pvara", "secp", "fmu"):
        require(name in names, f"institution {name} is missing")
        require(len(names[name].officers) == 3, f"{name} has not three officers")
        require(names[name].threshold == 2, f"{name} has not a threshold of two")
    require(not names["fmu"].voting, "fmu votes")
    policies = (await story.client.policy_list()).items
    return f"{len(institutions)} institutions, {len(policies)} policies, {len(status.validators)} validators"
