"""What is told again: while it waits, ever more seldom, and a bounded amount at once."""

from itertools import pairwise

from node.gossip import Gossip
from node.limits import REGOSSIP_BYTES_MAX, REGOSSIP_FIRST_S, REGOSSIP_LAST_S


def test_what_waits_is_told_again_ever_more_seldom_until_it_is_gone() -> None:
    gossip = Gossip()
    gossip.told([b"a", b"b"], 0.0)
    waiting = {b"a", b"b"}
    tellings = []
    for second in range(400):
        if second == 10:
            waiting.remove(b"b")
        tellings += [(raw, second) for raw in gossip.again(waiting.__contains__, float(second))]
    first = int(REGOSSIP_FIRST_S)
    assert [second for raw, second in tellings if raw == b"b"] == [first, 3 * first]
    seconds = [second for raw, second in tellings if raw == b"a"]
    gaps = [later - earlier for earlier, later in pairwise(seconds)]
    assert gaps[:3] == [2 * first, 4 * first, 8 * first]
    assert max(gaps) == gaps[-1] == REGOSSIP_LAST_S
    waiting.clear()
    gossip.again(waiting.__contains__, 1_000.0)
    assert gossip._told == []


def test_one_telling_is_bounded_and_the_rest_comes_next() -> None:
    gossip = Gossip()
    raws = [bytes((number,)) * (REGOSSIP_BYTES_MAX // 4) for number in range(10)]
    gossip.told(raws, 0.0)
    told = [gossip.again(lambda raw: True, REGOSSIP_FIRST_S + tick) for tick in range(3)]
    assert [len(each) for each in told] == [4, 4, 2]
    assert [raw for each in told for raw in each] == raws
