"""A network is kept up whatever dies in it: a death is said in one line, what is to be healed is started."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import trio

from client.errors import ClientError
from client.rpc import AsyncClient
from devnet.faults import UNANSWERED_S, Condition, condition, ended_with
from devnet.network import Network, NodeFiles
from devnet.processes import Death
from ledger.survival import survives

POLL_S = 0.2

Powers = Mapping[str, int]


class Supervised(Protocol):
    """What is asked of a running network here."""

    @property
    def network(self) -> Network: ...
    def take_dead(self) -> Sequence[Death]: ...
    def start_missing(self, name: str) -> None: ...


async def supervise(
    running: Supervised,
    say: Callable[[str], None],
    ask: Callable[[Network], Awaitable[Powers | None]],
) -> str:
    """Go on whatever dies; returns why there is nothing to go on with, once no node runs any more.

    `say` is told of each death and of what is healed, a line each; `ask` knows who votes.
    """
    for node in running.network.nodes:
        node.heal_request.unlink(missing_ok=True)  # of a network that went down before it could answer
    while True:
        # Asked for first: whoever asks saw its death before, so it is among those taken next.
        asked = [node for node in running.network.nodes if node.heal_request.exists()]
        deaths = running.take_dead()
        network = running.network
        if not asked and all(condition(node.node_run) is Condition.DEAD for node in network.nodes):
            return "\n".join(f"{died(death)}; no node runs any more:\n{death.words}" for death in deaths)
        powers = await ask(network) if deaths else None
        for death in deaths:
            say(f"{died(death)}; {outlook(network, powers)}. {remedy(network, death)}")
        for node in asked:
            running.start_missing(node.name)
            node.heal_request.unlink(missing_ok=True)
            say(f"{node.name}: started again, as asked")
        await trio.sleep(POLL_S)


def died(death: Death) -> str:
    """Which process died, and how."""
    return f"{death.kind} {death.node} (process {death.pid}) ended with {ended_with(death.exit_code)}"


def remedy(network: Network, death: Death) -> str:
    """What to do about it, and where its last words are."""
    return (
        f"Start it again: mohur devnet heal {death.node} --dir {network.directory} "
        f"(its log: {network.node(death.node).directory}/{death.kind}.log)"
    )


def outlook(network: Network, powers: Powers | None) -> str:
    """How many nodes run, and whether that is enough to decide; `powers` are the validators', if known."""
    up = {node.name for node in network.nodes if condition(node.node_run) is Condition.RUNS}
    count = f"{len(up)} of {len(network.nodes)} nodes run"
    if powers is None:
        return f"{count}; nobody answers who votes, so whether the network still decides is not known"
    total = sum(powers.values())
    held = sum(power for name, power in powers.items() if name in up)
    share = f"{held} of {total} of the power"
    if survives(total - held, total):
        return f"{count} with {share}: the network still decides"
    return f"{count} with {share}: the network decides nothing until more run"


async def voting_powers(network: Network) -> Powers | None:
    """The power of each validator by the first running node that answers, None if none does."""
    answers: list[Powers] = []

    async def ask(node: NodeFiles, enough: trio.CancelScope) -> None:
        try:
            async with AsyncClient(node.rpc, retry_s=0) as client:
                status = await client.chain_status()
        except ClientError:
            return
        answers.append({view.name: int(view.power) for view in status.validators})
        enough.cancel()

    with trio.move_on_after(UNANSWERED_S):
        async with trio.open_nursery() as nursery:
            for node in network.nodes:
                if all(condition(run) is Condition.RUNS for run in node.runs.values()):
                    nursery.start_soon(ask, node, nursery.cancel_scope)
    return answers[0] if answers else None
