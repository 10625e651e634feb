"""The anti-replay window against a set of used sequences."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import window
from ledger.codes import Code


class Naive:
    """Remembers every sequence ever used."""

    def __init__(self) -> None:
        self.used: set[int] = set()
        self.highest = 0

    def check(self, sequence: int) -> Code:
        if sequence > self.highest + 64:
            return Code.SEQUENCE_AHEAD
        if sequence <= self.highest - 64 or sequence < 1:
            return Code.SEQUENCE_STALE
        return Code.SEQUENCE_USED if sequence in self.used else Code.OK

    def use(self, sequence: int) -> None:
        self.used.add(sequence)
        self.highest = max(self.highest, sequence)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(min_value=-70, max_value=70), max_size=120))
def test_window_agrees_with_a_set_of_used_sequences(steps: list[int]) -> None:
    naive, highest, bitmap = Naive(), 0, 0
    for step in steps:
        sequence = naive.highest + step
        verdict = window.check(highest, bitmap, sequence)
        assert verdict is naive.check(sequence)
        if verdict is Code.OK:
            naive.use(sequence)
            highest, bitmap = window.use(highest, bitmap, sequence)
        assert highest == naive.highest
        assert 0 <= bitmap < 2**64


def test_sixty_four_sequences_are_accepted_in_reverse_order() -> None:
    highest, bitmap = 0, 0
    for sequence in range(64, 0, -1):
        assert window.check(highest, bitmap, sequence) is Code.OK
        highest, bitmap = window.use(highest, bitmap, sequence)
    assert bitmap == 2**64 - 1


def test_the_sixty_fifth_below_the_highest_is_stale() -> None:
    highest, bitmap = window.use(64, 0, 65)
    assert window.check(highest, bitmap, 2) is Code.OK
    assert window.check(highest, bitmap, 1) is Code.SEQUENCE_STALE


def test_the_sixty_fifth_above_the_highest_is_ahead() -> None:
    assert window.check(0, 0, 64) is Code.OK
    assert window.check(0, 0, 65) is Code.SEQUENCE_AHEAD


def test_no_sequence_passes_32_bits() -> None:
    top = 2**32 - 1
    assert window.check(top - 1, 0, top) is Code.OK
    assert window.check(top - 1, 0, top + 1) is Code.SEQUENCE_AHEAD
