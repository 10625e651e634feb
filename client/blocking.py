"""The synchronous face of the client: the same methods, for scripts and threads without an event loop."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial, wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from client.rpc import RETRY_S, AsyncClient

P = ParamSpec("P")
R = TypeVar("R")


def _sync(
    method: Callable[Concatenate[AsyncClient, P], Awaitable[R]],
) -> Callable[Concatenate["Client", P], R]:
    """The method of Client that runs `method` of its AsyncClient to the end."""

    @wraps(method)
    def call(self: "Client", *args: P.args, **kwargs: P.kwargs) -> R:
        return self.portal.call(partial(method, self.asynchronous, *args, **kwargs))

    return call  # type: ignore[return-value]


class Client:
    """A gateway at `url`: `with Client(url) as client`. One Trio event loop runs behind it, in a thread."""

    portal: BlockingPortal
    asynchronous: AsyncClient

    def __init__(self, url: str, *, retry_s: float = RETRY_S) -> None:
        self._url = url
        self._retry_s = retry_s
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.portal = stack.enter_context(start_blocking_portal("trio"))
            self.asynchronous = self.portal.call(partial(AsyncClient, self._url, retry_s=self._retry_s))
            stack.enter_context(self.portal.wrap_async_context_manager(self.asynchronous))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    chain_status = _sync(AsyncClient.chain_status)
    chain_block = _sync(AsyncClient.chain_block)
    tx_get = _sync(AsyncClient.tx_get)
    tx_wait = _sync(AsyncClient.tx_wait)
    signer_get = _sync(AsyncClient.signer_get)
    account_get = _sync(AsyncClient.account_get)
    holding_get = _sync(AsyncClient.holding_get)
    holding_list = _sync(AsyncClient.holding_list)
    instrument_get = _sync(AsyncClient.instrument_get)
    instrument_list = _sync(AsyncClient.instrument_list)
    offer_list = _sync(AsyncClient.offer_list)
    programme_get = _sync(AsyncClient.programme_get)
    fixing_get = _sync(AsyncClient.fixing_get)
    vasp_get = _sync(AsyncClient.vasp_get)
    vasp_list = _sync(AsyncClient.vasp_list)
    institution_list = _sync(AsyncClient.institution_list)
    policy_list = _sync(AsyncClient.policy_list)
    parameter_get = _sync(AsyncClient.parameter_get)
    proposal_get = _sync(AsyncClient.proposal_get)
    proposal_list = _sync(AsyncClient.proposal_list)
    proof_get = _sync(AsyncClient.proof_get)
    node_health = _sync(AsyncClient.node_health)
    discover = _sync(AsyncClient.discover)
    genesis_hash = _sync(AsyncClient.genesis_hash)
    align = _sync(AsyncClient.align)
    submit = _sync(AsyncClient.submit)
    submit_many = _sync(AsyncClient.submit_many)
    outcome = _sync(AsyncClient.outcome)
    send = _sync(AsyncClient.send)
    perform = _sync(AsyncClient.perform)
    ask = _sync(AsyncClient.ask)
    batch = _sync(AsyncClient.batch)
