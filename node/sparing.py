"""Says a thing at most once a minute, and then how often: what others cause must not fill our log.

A subject is what happened and to whom. Clock: Trio's, so that a step of the wall clock silences nothing.
"""

import trio

from node.limits import SUBJECTS_MAX

AGAIN_S = 60.0


class Sparing:
    """Which subjects have been spoken of lately, and how often each has come up since."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when last said, and unsaid since

    def due(self, what: str, whom: str) -> int:
        """How often this has come up since it was last said, this time included; 0 if it is too soon to say
        it again."""
        now = trio.current_time()
        said = self._said.pop((what, whom), None)
        if said is not None and now < said[0] + AGAIN_S:
            self._said[what, whom] = (said[0], said[1] + 1)
            return 0
        self._said[what, whom] = (now, 0)
        if len(self._said) > SUBJECTS_MAX:
            del self._said[next(iter(self._said))]  # the one that came up longest ago
        return 1 if said is None else said[1] + 1
