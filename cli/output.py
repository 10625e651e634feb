"""What every command prints and how it ends: tables for people, one JSON object for programs, exit codes.

Results go to standard output, everything else to standard error. With `--json` a command prints exactly one
JSON object, on one line; a failure is `{"ok": false, "error": {"name", "message", "problems"}}`. What a
terminal would not show as it is, is escaped, whatever the ledger let in. What is done stays done when it
cannot be printed: a failure to report it does not end a command as a failure to do it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer

from config.visible import visible


class Exit(IntEnum):
    """How `mohur` ends. Numbers are stable; docs/operating.md lists them."""

    OK = 0
    FAILED = 1  # the thing was tried and did not come about
    USAGE = 2  # the command line is wrong
    CONFIG = 3  # a file of the operator is wrong: genesis, settings, key, certificate
    REFUSED = 4  # the ledger or the gateway refused, with a result code
    UNREACHABLE = 5  # nobody answers; nothing was sent
    INVALID = 6  # a proof, block or chain does not verify
    UNKNOWN = 7  # a transaction was sent and what became of it is not known: resend the same bytes
    INTERRUPTED = 130  # Ctrl-C


EXIT_HELP = (
    "Exit codes: 0 done; 1 failed; 2 wrong command line; 3 wrong file (genesis, settings, key, certificate); "
    "4 refused by the ledger, nothing happened; 5 nobody answers, nothing was sent; 6 does not verify; "
    "7 sent, and not known what became of it: `mohur tx resend`, never anew; 130 interrupted, nothing sent."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def show(values: Mapping[str, Any], *, as_json: bool, text: Callable[[], None] | None = None) -> None:
    """Print a result: `values` as JSON, or else what `text` prints, or a table of names and values."""
    if as_json:
        _print(json.dumps(values, default=_plain) + "\n")
    elif text is not None:
        text()
    else:
        table(("", ""), [(name, value) for name, value in values.items()], header=False)


def told(values: Mapping[str, Any], *, as_json: bool, text: Callable[[], None] | None = None) -> None:
    """Print the result of what is done, as `show`. What cannot be printed is said on standard error, and the
    command ends as it would."""
    try:
        show(values, as_json=as_json, text=text)
    except (OSError, ValueError) as error:
        note(f"mohur: it is done, but standard output takes no more: {error}")
        note(json.dumps(values, default=_plain))
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left in the old one's buffer is not tried again


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", header: bool = True
) -> None:
    """Print a table on standard output; nothing is cut off when it is not a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200)
    drawn = Table(
        title=escape(visible(title)) or None,
        title_justify="left",
        show_header=header,
        box=None,
        pad_edge=False,
    )
    for column in columns:
        drawn.add_column(escape(visible(column)), overflow="fold")
    for row in rows:
        drawn.add_row(*(escape("" if cell is None else _text(cell)) for cell in row))
    with console.capture() as capture:  # rich would end the process when a pipe is broken
        console.print(drawn)
    _print(capture.get())


def note(message: str) -> None:
    """Print a line for a person, on standard error."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or None if it never was open
        sys.stderr.write("\n".join(visible(line) for line in message.split("\n")) + "\n")
        sys.stderr.flush()


def fail(
    code: Exit, name: str, message: str, *, as_json: bool, problems: Sequence[str] = (), **more: Any
) -> NoReturn:
    """Say what went wrong and end with `code`."""
    if as_json:
        error = {"name": name, "message": message, "problems": list(problems), **more}
        with suppress(OSError, ValueError):  # the exit code says it
            _print(json.dumps({"ok": False, "error": error}, default=_plain) + "\n")
    else:
        note(f"mohur: {visible(message)}")
        for problem in problems:
            note(f"  {visible(problem)}")
    raise typer.Exit(int(code))


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turn the errors of files, keys and certificates into a message and their exit code."""
    from config.errors import ConfigError
    from config.keys import KeyFileError
    from config.pki import CertificateError

    try:
        yield
    except ConfigError as error:
        count = len(error.problems)
        message = f"{count} problem{'' if count == 1 else 's'} found"
        fail(Exit.CONFIG, "config", message, as_json=as_json, problems=error.problems)
    except KeyFileError as error:
        fail(Exit.CONFIG, "key", str(error), as_json=as_json)
    except CertificateError as error:
        fail(Exit.CONFIG, "certificate", str(error), as_json=as_json)


def _print(text: str) -> None:
    if sys.stdout is None:
        raise OSError("it is closed")
    sys.stdout.write(text)
    sys.stdout.flush()


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else visible(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
