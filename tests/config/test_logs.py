"""Logs: one JSON object per line where no person reads, whoever wrote the record."""

import json
import subprocess
import sys

import pytest

CODE = """
import logging, structlog
from config.logs import configure_logging
from config.settings import LogSettings
configure_logging(LogSettings(level={level!r}, format={form!r}), node="mof")
log = structlog.get_logger()
log.debug("quiet", height=1)
log.info("committed", height=2)
log.info("peer \\x1b[2J", name="mof\\x1b]0;x\\x07\\u202e\\nforged")
logging.getLogger("asyncio").warning("handshake %s", "failed")
try:
    raise ValueError("bad root")
except ValueError:
    log.exception("halted")
"""


def lines(level: str, form: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(level=level, form=form)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_away_from_a_terminal_every_record_is_one_json_object() -> None:
    records = [json.loads(line) for line in lines("info", "auto")]
    assert [(record["event"], record["level"]) for record in records] == [
        ("committed", "info"),
        ("peer \x1b[2J", "info"),
        ("handshake failed", "warning"),
        ("halted", "error"),
    ]
    assert records[0]["height"] == 2
    assert {record["node"] for record in records} == {"mof"}
    assert "ValueError: bad root" in records[3]["exception"]


def test_the_level_is_kept() -> None:
    assert json.loads(lines("debug", "json")[0])["event"] == "quiet"
    assert [json.loads(line)["event"] for line in lines("error", "json")] == ["halted"]


def test_a_reader_gets_text() -> None:
    assert "committed" in lines("info", "console")[0]
    assert not lines("info", "console")[0].startswith("{")


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_text_of_others_plays_with_the_terminal(form: str) -> None:
    shown = lines("info", form)[1]
    assert "forged" in shown
    assert not any(character in shown for character in ("\x1b[2J", "\x07", "\u202e"))
