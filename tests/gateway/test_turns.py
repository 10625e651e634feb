"""Whose turn it is at the node: addresses in turn, the connections of each in turn, nobody everywhere."""

import trio
from trio.testing import wait_all_tasks_blocked

from gateway.shares import Caller
from gateway.turns import Turns


class Line:
    """Callers who come to a Turns; `served` says in which order, `leave` lets the next one go."""

    def __init__(self, places: int, each: int) -> None:
        self.served: list[str] = []
        self._turns = Turns(places, each)
        self._leaving = trio.Semaphore(0)

    async def come(self, name: str, address: str, connection: int = 0) -> None:
        async with self._turns.turn(Caller(address, connection)):
            self.served.append(name)
            await self._leaving.acquire()

    async def leave(self) -> None:
        self._leaving.release()
        await wait_all_tasks_blocked()


async def test_an_address_holds_no_more_than_its_places_and_leaves_the_rest() -> None:
    line = Line(places=4, each=2)
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(line.come, f"a{number}", "a", number)
            await wait_all_tasks_blocked()
        nursery.start_soon(line.come, "b", "b")
        await wait_all_tasks_blocked()
        served = [*line.served]
        nursery.cancel_scope.cancel()

    assert served == ["a0", "a1", "b"]


async def test_addresses_take_turns_and_so_do_the_connections_of_each() -> None:
    line = Line(places=1, each=1)
    async with trio.open_nursery() as nursery:
        for name, address, connection in (
            ("first", "a", 1),
            ("a1", "a", 1),
            ("a1 again", "a", 1),
            ("a2", "a", 2),
            ("b", "b", 1),
            ("b again", "b", 1),
        ):
            nursery.start_soon(line.come, name, address, connection)
            await wait_all_tasks_blocked()
        for _ in range(6):
            await line.leave()

    assert line.served == ["first", "a1", "b", "a2", "b again", "a1 again"]


async def test_who_leaves_the_line_keeps_no_place_of_it() -> None:
    line = Line(places=1, each=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.come, "a", "a")
        await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await line.come("gone", "b")
        nursery.start_soon(line.come, "c", "c")
        await wait_all_tasks_blocked()
        await line.leave()
        await line.leave()

    assert line.served == ["a", "c"]
