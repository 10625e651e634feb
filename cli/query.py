"""`mohur query`: one command for each read that a gateway answers, made from api.reads itself."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cli.calls import Rpc, calling
from cli.limits import CELL_CHARACTERS_MAX, COLUMNS_MAX
from cli.output import Exit, Json, fail, show, table

if TYPE_CHECKING:
    from api.declare import Read

NOT_HERE = frozenset({"tx_submit", "tx_submitMany", "tx_wait", "proof_get"})  # `mohur tx`, `mohur proof`


class _Group(TyperGroup):
    """Makes its commands when they are first looked at: what declares them loads the whole ledger."""

    @property
    def commands(self) -> Any:
        return _commands()

    @commands.setter
    def commands(self, given: Any) -> None:
        """Take nothing from typer: no command is declared on `app`."""


@cache
def _commands() -> Any:
    """One command for each read, by name."""
    from api.reads import READS

    made = typer.Typer()
    for name, read in READS.items():
        if name not in NOT_HERE:
            made.command(name, help=read.description)(_command(read))
    return typer.main.get_group(made).commands


app = typer.Typer(
    cls=_Group, no_args_is_help=True, help="Ask a gateway about the chain, the ledger and its node."
)


def _command(read: "Read[Any, Any]") -> Callable[..., None]:
    """The command of one read: what it requires are arguments, the rest options."""
    from api.objects import FieldFault, fields, from_params, to_object

    described = fields(read.query)

    def command(**given: Any) -> None:
        rpc, as_json = given.pop("rpc"), given.pop("as_json")
        params = {
            field: _value(given[field], shape) for field, shape, _ in described if given[field] is not None
        }
        try:
            asked = from_params(params, read.query)
        except FieldFault as fault:
            fail(Exit.USAGE, "params", str(fault), as_json=as_json)
        with calling(rpc, as_json=as_json) as client:
            values = to_object(client.ask(asked))
        show(values, as_json=as_json, text=lambda: _print(values))

    parameters = []
    for field, _, required in described:
        info: Any = typer.Argument(show_default=False) if required else typer.Option(show_default=False)
        hint: Any = Annotated[str, info] if required else Annotated[str | None, info]
        default = inspect.Parameter.empty if required else None
        parameters.append(_parameter(field, hint, default))
    parameters += [_parameter("rpc", Rpc, inspect.Parameter.empty), _parameter("as_json", Json, False)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = read.description
    return command


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)


def _value(text: str, shape: dict[str, Any]) -> Any:
    """What was typed, as a number where the field may be one."""
    types = {shape.get("type"), *(each.get("type") for each in shape.get("anyOf", ()))}
    return int(text) if "integer" in types and text.isascii() and text.isdigit() else text


def _print(values: dict[str, Any]) -> None:
    """A list as a table, or wide items each by itself; anything else as names and values."""
    items = values.get("items")
    if not isinstance(items, list):
        table(("", ""), [(name, _words(value)) for name, value in values.items()], header=False)
        return
    more = "" if values.get("next_cursor") is None else f"; more with --cursor {values['next_cursor']}"
    title = f"{len(items)} at height {values['height']}{more}"
    columns = list(items[0]) if items else ["nothing"]
    if len(columns) > COLUMNS_MAX or any(_holds_objects(value) for item in items for value in item.values()):
        print(title)
        for item in items:
            print()
            table(("", ""), [(name, _words(value)) for name, value in item.items()], header=False)
        return
    table(columns, [[_cell(value) for value in item.values()] for item in items], title=title)


def _holds_objects(value: Any) -> bool:
    """Whether this is a list of objects, of which one cell would show no more than the first."""
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_words(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items())
    return "-" if value is None else str(value)


def _cell(value: Any) -> str:
    """One cell of a list, where an answer's long values would leave no room for the others."""
    text = _words(value)
    return text if len(text) <= CELL_CHARACTERS_MAX else text[: CELL_CHARACTERS_MAX - 3] + "..."
