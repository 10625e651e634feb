"""The named errors of consensus: ours, our caller's, and a peer's."""


class EngineFault(Exception):
    """The engine found itself in a state that the algorithm excludes: stop, keep the log, report."""


class MisuseError(ValueError):
    """Whoever feeds the engine broke its contract: an unverified message, or a height out of order."""


class VerificationError(ValueError):
    """A peer's message is not what it claims to be. The text names the field, its value and the rule."""
