"""JSON that two readers would read alike, and nothing else."""

import pytest

from api.strict_json import strict_json


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b'{"amount": 1, "amount": 1000}', '"amount" stands twice'),
        (b'[{"a": {"b": 1, "b": 1}}]', '"b" stands twice'),
        (b'{"title": "\\ud800"}', "lone surrogate U\\+D800"),
        (b'{"\\udfff": 1}', "lone surrogate U\\+DFFF"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "UTF-16"),
        ("{}".encode("utf-16-be"), "line 1"),
        (b'{"title": "\xff"}', "not UTF-8: byte 11"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"amount": NaN}', "NaN is no number"),
        (b'{"amount": ', "line 1"),
    ],
)
def test_what_two_readers_might_read_differently_is_named(data: bytes, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        strict_json(data)


def test_lines_as_other_systems_end_them_and_whole_characters_are_read() -> None:
    assert strict_json('{\r\n"title": "\\ud83d\\ude00 سکہ"\r\n}'.encode()) == {"title": "\U0001f600 سکہ"}
