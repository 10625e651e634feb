"""Says a thing at most once a minute, and then how often: what others cause must not fill our log.

A subject is what happened and to whom. Of one thing that happens to ever new ones only so many are spoken of
in a minute, and the rest is counted with the next that is. Clock: Trio's, so that a step of the wall clock
silences nothing.
"""

import trio

from config.limits import SUBJECTS_A_MINUTE_MAX, SUBJECTS_MAX

AGAIN_S = 60.0


class Sparing:
    """Which subjects have been spoken of lately, and how often each has come up since."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when last said, and unsaid since
        self._minutes: dict[str, tuple[float, int, int]] = {}  # of a thing: since when, said, and unsaid

    def due(self, what: str, whom: str) -> int:
        """How often this has come up since it was last said, this time included, and whatever of the kind had
        no place in its minute; 0 if it is too soon to say it again."""
        now = trio.current_time()
        said = self._said.pop((what, whom), None)
        if said is not None and now < said[0] + AGAIN_S:
            self._said[what, whom] = (said[0], said[1] + 1)
            return 0
        since, spoken, unsaid = self._minutes.get(what, (now, 0, 0))
        if now >= since + AGAIN_S:
            since, spoken = now, 0
        if spoken >= SUBJECTS_A_MINUTE_MAX:
            self._minutes[what] = (since, spoken, unsaid + 1)
            return 0
        self._minutes[what] = (since, spoken + 1, 0)
        self._said[what, whom] = (now, 0)
        if len(self._said) > SUBJECTS_MAX:
            del self._said[next(iter(self._said))]  # the one that came up longest ago
        return unsaid + (1 if said is None else said[1] + 1)
