"""How a read is declared: once, as a function whose parameters are the query and whose value is the reply.

    class HoldingReads:
        @read
        def holding_get(view: View, holding: Index) -> HoldingReply:
            "One holding: what one account has of one instrument."

From this one function come the JSON-RPC method with its OpenRPC description, the typed methods of both
clients, the command of `mohur query`, and the answer of the node. `read` reads the state, `read_log` the
block log, `ask` what only a running node can do; the classes that hold them are joined in `api.reads.Reads`.
"""

import inspect
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, get_type_hints, overload

import msgspec

from api.fields import Shown
from api.sources import Services, View

P = ParamSpec("P")
R = TypeVar("R", bound=Shown)


class Question(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What is asked: the parameters of one read, in declared order. `method` is the read's name."""

    method: ClassVar[str] = ""


class ReadFrom(Enum):
    """Where a read is answered."""

    STATE = auto()  # on the event loop: it is short
    LOG = auto()  # in a worker thread: whole blocks are read and decoded
    NODE = auto()  # by the running node, which may wait


class AsynchronousCaller(Protocol):
    """Who calls reads from an event loop."""

    def bound(self, read: "Read[P, R]") -> Callable[P, Awaitable[R]]:
        """The read as a method of this caller."""


class BlockingCaller(Protocol):
    """Who calls reads from a thread that may stand still."""

    def bound(self, read: "Read[P, R]") -> Callable[P, R]:
        """The read as a method of this caller."""


class Read(Generic[P, R]):
    """One read: its `name`, what it asks (`query`), what it tells (`reply`), and the function that answers.

    As an attribute of a client it is a method of that client, with the parameters of the declared function.
    """

    def __init__(self, name: str, function: Callable[..., Any], source: ReadFrom, *, waits: bool) -> None:
        hints = get_type_hints(function, include_extras=True)
        _, *parameters = inspect.signature(function).parameters.values()
        fields = [
            (parameter.name, hints[parameter.name])
            if parameter.default is inspect.Parameter.empty
            else (parameter.name, hints[parameter.name], parameter.default)
            for parameter in parameters
        ]
        self.name = name
        self.function = function
        self.source = source
        self.waits = waits  # for as long as the query's `timeout_ms` says
        self.description = inspect.cleandoc(function.__doc__ or "")
        self.reply: type[R] = hints["return"]
        query: Any = msgspec.defstruct(
            "".join(word.capitalize() for word in function.__name__.split("_")),
            fields,
            bases=(Question,),
            namespace={"method": name, "__doc__": self.description},
            module=function.__module__,
            frozen=True,
        )
        self.query: type[Question] = query

    def question(self, *args: P.args, **kwargs: P.kwargs) -> Question:
        """The query with these parameters."""
        return self.query(*args, **kwargs)

    def answer(self, source: Any, question: Question) -> Any:
        """What the declared function says about `question`; `source` is a View, or the Services of a node,
        whose answer is to be awaited."""
        return self.function(source, *msgspec.structs.astuple(question))

    @overload
    def __get__(self, caller: None, owner: type) -> "Read[P, R]": ...

    @overload
    def __get__(self, caller: AsynchronousCaller, owner: type) -> Callable[P, Awaitable[R]]: ...

    @overload
    def __get__(self, caller: BlockingCaller, owner: type) -> Callable[P, R]: ...

    def __get__(self, caller: Any, owner: type) -> Any:
        return self if caller is None else caller.bound(self)


def read(function: Callable[Concatenate[View, P], R]) -> Read[P, R]:
    """Declare a read of the state, under the function's name. It raises Refused for what is not there."""
    return Read(function.__name__, function, ReadFrom.STATE, waits=False)


def read_log(function: Callable[Concatenate[View, P], R]) -> Read[P, R]:
    """Declare a read of the block log, which reads and decodes whole blocks."""
    return Read(function.__name__, function, ReadFrom.LOG, waits=False)


def ask(
    name: str, *, waits: bool = False
) -> Callable[[Callable[Concatenate[Services, P], Awaitable[R]]], Read[P, R]]:
    """Declare what only a running node can answer, as the method `name`."""

    def declared(function: Callable[Concatenate[Services, P], Awaitable[R]]) -> Read[P, R]:
        return Read(name, function, ReadFrom.NODE, waits=waits)

    return declared
