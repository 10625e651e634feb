"""Classic schedules as transcripts that a person has read: the engine does what they say, word for word."""

import pytest

from testing.transcripts import FOLDER, play

TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_engine_does_what_the_transcript_says(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert play(text) == text, "python -m testing.transcripts writes the answers anew: read what changed"


def test_the_classics_are_here() -> None:
    assert len(TRANSCRIPTS) >= 20
