"""Waiting for a running network to be as it should, by asking it, within a bound."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import trio

from api.reads.chain import ChainStatusReply
from client.rpc import AsyncClient
from devnet.network import DevnetError
from devnet.processes import RunningNetwork

WAIT_S = 30
POLL_S = 0.05

T = TypeVar("T")


def require(condition: bool, what: str) -> None:
    """Raise DevnetError, saying what is not as it must be."""
    if not condition:
        raise DevnetError(what)


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], otherwise: str) -> T:
    """The first answer that `holds`. Raises DevnetError(otherwise) after WAIT_S."""
    with trio.move_on_after(WAIT_S):
        while True:
            answer = await ask()
            if holds(answer):
                return answer
            await trio.sleep(POLL_S)
    raise DevnetError(f"{otherwise} within {WAIT_S} s")


async def equal_roots(running: RunningNetwork) -> tuple[str, int]:
    """The state root that all validators hold at one same height, and that height.

    Raises DevnetError if they differ, or are not at one height within WAIT_S.
    """
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(AsyncClient(url)) for url in running.rpc_urls]

        async def ask() -> list[ChainStatusReply]:
            return [await client.chain_status() for client in clients]

        replies = await until(
            ask,
            lambda replies: len({reply.height for reply in replies}) == 1,
            "the validators are not at one height",
        )
    require(len({reply.state_root for reply in replies}) == 1, f"roots differ at {replies[0].height}")
    return replies[0].state_root.hex(), replies[0].height
