"""Logs: one JSON object per line where no person reads, whoever wrote the record."""

import json
import os
import subprocess
import sys
from pathlib import Path

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


def ended(stderr: int, code: str = CODE.format(level="info", form="json")) -> int:
    return subprocess.run([sys.executable, "-c", code], stderr=stderr, check=False).returncode


def test_a_full_disk_under_the_log_ends_no_process() -> None:
    with Path("/dev/full").open("wb") as full:
        assert ended(full.fileno()) == 0


def test_a_reader_of_the_log_that_is_gone_ends_no_process() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert ended(writer) == 0
    finally:
        os.close(writer)


def test_lines_that_were_lost_are_counted_once_there_is_room(tmp_path: Path) -> None:
    code = """
import os, structlog
from config.logs import configure_logging
from config.settings import LogSettings
configure_logging(LogSettings(format="json"))
log = structlog.get_logger()
kept = os.dup(2)
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
log.info("first")
log.info("second")
os.dup2(kept, 2)
log.info("third")
log.info("fourth")
"""
    log = tmp_path / "log"
    with log.open("wb") as file:
        assert ended(file.fileno(), code) == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["event"] for record in records] == ["lines of log were lost", "third", "fourth"]
    assert records[0]["lines"] == 2
