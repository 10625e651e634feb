"""The synchronous face of the client: the same methods, for scripts and threads without an event loop."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial, wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from api.declare import Read
from api.fields import Shown
from api.reads import Reads
from client.journal import SentJournal
from client.rpc import RETRY_S, AsyncClient

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Shown)


def _sync(
    method: Callable[Concatenate[AsyncClient, P], Awaitable[R]],
) -> Callable[Concatenate["Client", P], R]:
    """The method of Client that runs `method` of its AsyncClient to the end."""

    @wraps(method)
    def call(self: "Client", *args: P.args, **kwargs: P.kwargs) -> R:
        return self.portal.call(partial(method, self.asynchronous, *args, **kwargs))

    return call  # type: ignore[return-value]


class Client(Reads):
    """A gateway at `url`: `with Client(url) as client`. One Trio event loop runs behind it, in a thread.

    Every read of `api.reads` is a method: `client.holding_get(5)`.
    """

    portal: BlockingPortal
    asynchronous: AsyncClient

    def __init__(self, url: str, *, retry_s: float = RETRY_S, journal: SentJournal | None = None) -> None:
        self._url = url
        self._retry_s = retry_s
        self._journal = journal
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.portal = stack.enter_context(start_blocking_portal("trio"))
            self.asynchronous = self.portal.call(
                partial(AsyncClient, self._url, retry_s=self._retry_s, journal=self._journal)
            )
            stack.enter_context(self.portal.wrap_async_context_manager(self.asynchronous))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def bound(self, read: Read[P, T]) -> Callable[P, T]:
        """A declared read as a method of this client."""

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.portal.call(partial(self.asynchronous.bound(read), *args, **kwargs))

        call.__name__, call.__doc__ = read.function.__name__, read.description
        return call

    discover = _sync(AsyncClient.discover)
    genesis_hash = _sync(AsyncClient.genesis_hash)
    align = _sync(AsyncClient.align)
    submit = _sync(AsyncClient.submit)
    submit_many = _sync(AsyncClient.submit_many)
    outcome = _sync(AsyncClient.outcome)
    send = _sync(AsyncClient.send)
    hand_in = _sync(AsyncClient.hand_in)
    resend = _sync(AsyncClient.resend)
    perform = _sync(AsyncClient.perform)
    ask = _sync(AsyncClient.ask)
    batch = _sync(AsyncClient.batch)
