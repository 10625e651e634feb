"""What `mohur query` prints for people: nothing of a single answer is cut off, lists stay readable."""

import pytest
import typer

from cli.output import Exit, fail
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


def test_objects_within_an_item_of_a_list_are_all_there(capsys: pytest.CaptureFixture[str]) -> None:
    roots = [{"sha256": digit * 64, "until_ms": until} for digit, until in (("a", 1795626648957), ("b", 0))]
    _print({"height": 9, "items": [{"name": "sbp", "ca_roots": roots}], "next_cursor": None})
    printed = capsys.readouterr().out
    for shown in ("a" * 64, "until_ms 1795626648957", "b" * 64, "until_ms 0"):
        assert shown in " ".join(printed.split())


@pytest.mark.parametrize("as_list", [False, True])
def test_no_text_of_the_ledger_plays_with_the_terminal(
    as_list: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the ledger let in, and whatever a gateway makes of it."""
    item = {"title": "HTX\x1b[2J", "a\u202ebn": "x\u200by\r"}
    _print({"height": 9, "items": [item], "next_cursor": None} if as_list else item)
    with pytest.raises(typer.Exit):
        fail(Exit.REFUSED, "not_found", "name \x1b[2J\nmohur: all is well", as_json=False)
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not set(text) & set("\x1b\u202e\u200b\r")
    assert "HTX\\x1b[2J" in shown.out
    assert shown.err.count("\n") == 1
