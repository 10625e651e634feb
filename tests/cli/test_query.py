"""What `mohur query` prints for people: nothing of a single answer is cut off, lists stay readable."""

import pytest

from cli.query import _print

REASON = "no block for 5.7 s after height 9: round 0, step prevote waits for pvara, secp"


def test_a_single_answer_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    _print({"height": 9, "advancing": False, "reason": REASON, "missing": ["pvara", "secp"]})
    assert REASON in capsys.readouterr().out


def test_long_cells_of_a_list_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    _print({"height": 9, "items": [{"index": 0, "rule": REASON}], "next_cursor": None})
    printed = capsys.readouterr().out
    assert "..." in printed
    assert REASON not in printed


def test_wide_items_of_a_list_are_printed_one_under_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    wide = {f"field_{number}": number for number in range(20)}
    _print({"height": 9, "items": [wide, wide | {"field_0": REASON}], "next_cursor": 2})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 at height 9; more with --cursor 2"
    assert len([line for line in lines if line.startswith("field_19")]) == 2
    assert any(REASON in line for line in lines)
