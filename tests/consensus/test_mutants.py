"""The schedules are not blind: each rule of consensus, broken on purpose, breaks a run or a transcript."""

import pytest

from testing.engines import run, schedule_of
from testing.mutants import MUTANTS, SLOWER
from testing.rules import RuleBroken
from testing.transcripts import FOLDER, play

SCHEDULES = 300


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_broken_breaks_a_schedule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch.setattr)
    assert any(_is_broken(seed) for seed in range(SCHEDULES))


def _is_broken(seed: int) -> bool:
    try:
        run(schedule_of(seed))
    except RuleBroken:
        return True
    return False


@pytest.mark.parametrize("name", SLOWER)
def test_a_rule_that_only_saves_time_changes_a_transcript(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SLOWER[name](monkeypatch.setattr)
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.txt"))]
    assert [play(text) for text in texts] != texts
