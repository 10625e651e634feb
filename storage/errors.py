"""What can go wrong with a disk, named so that an operator knows what to do."""


class StorageError(Exception):
    """The store cannot do what was asked: wrong order of calls, nothing there, or the system refused."""


class StorageFull(StorageError):
    """There is no room: nothing of this write was kept. Make room; the same write may then be tried again."""

    def __init__(self, environment: str, reason: str) -> None:
        super().__init__(f"no room in the {environment} environment ({reason}): free some disk space")
        self.environment = environment


class StorageCorrupt(StorageError):
    """Stored bytes are not those that were written. `place` names the height, or the table and page."""

    def __init__(self, environment: str, place: str, fault: str) -> None:
        super().__init__(f"{environment}: {place}: {fault}; repair it from peers or a backup")
        self.environment = environment
        self.place = place
        self.fault = fault


class SignerUninitialised(StorageError):
    """The signer has no state, so it cannot know what its key has signed. Raised instead of signing."""

    def __init__(self) -> None:
        super().__init__(
            "the signer has no state and refuses to sign: set a floor height above every height"
            " that this key may have signed"
        )


class DoubleSignRefused(StorageError):
    """The signature asked for contradicts, or comes before, what the signer has already signed."""

    def __init__(self, asked: str, rule: str) -> None:
        super().__init__(f"refused to sign {asked}: {rule}")
