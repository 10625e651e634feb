"""Chapter 7: One validator dies by SIGKILL under load, comes back, and catches up."""

from itertools import pairwise

from devnet.limits import GAP_MS_MAX
from devnet.scenario.figures import CRASHED
from devnet.scenario.load import commit_more, load
from devnet.scenario.story import Story
from devnet.watching import equal_roots, require


async def play(story: Story) -> str:
    """Chapter 7: One validator dies by SIGKILL under load, comes back, and catches up."""
    first = (await story.client.chain_status()).height
    async with load(story) as counter:
        await commit_more(counter, 5)
        await story.running.kill_node(CRASHED)
        await commit_more(counter, 40)
        story.running.start_node(CRASHED)
        await story.running.wait_ready(CRASHED)
        await commit_more(counter, 20)
    story.transfers += counter.committed
    last = (await story.client.chain_status()).height
    times = [(await story.client.chain_block(height)).time_ms for height in range(first, last + 1)]
    story.longest_gap_ms = max(later - earlier for earlier, later in pairwise(times))
    require(story.longest_gap_ms <= GAP_MS_MAX, f"a gap of {story.longest_gap_ms} ms between two blocks")
    root, height = await equal_roots(story.running)
    story.restart_caught_up = True
    return (
        f"{CRASHED} killed and restarted; longest gap {story.longest_gap_ms} ms; "
        f"same root {root[:16]}… at height {height}"
    )
