"""What the kernel says of a process by its number, and signals that reach that very process or none.

A number is given again once its process is gone. The moment of its start tells two processes of one number
apart (`proc_pid_stat(5)`, field 22); a signal goes through a descriptor of the process that was looked at.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

_STATE, _STARTED = 0, 19  # places in stat behind the name in brackets, which may hold anything
_STOPPED, _ENDED = "Tt", "ZXx"


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as it is now. `started` counts clock ticks since the machine's start."""

    started: int
    stopped: bool
    ended: bool


def see(pid: int) -> Seen | None:
    """The process of this number, None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    state = fields[_STATE]
    return Seen(int(fields[_STARTED]), stopped=state in _STOPPED, ended=state in _ENDED)


def send(pid: int, started: int, number: signal.Signals) -> bool:
    """Returns True once a signal is sent to the process `pid` that started then, False if that is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        seen = see(pid)
        if seen is None or seen.ended or seen.started != started:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
