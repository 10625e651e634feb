"""A version 2 of the protocol that exists for tests alone, and the command line of software that knows it.

    python -m testing.version2 node run --config node.toml

It has one kind, one parameter, one table and one document field more than version 1. Nothing in production
imports this module, and nothing else can make software know a version that it does not declare.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, structs

from ledger import kinds, parameters, policies, release, rights, versions
from ledger import state as tables
from ledger.codes import Code, Refused
from ledger.cost import Cost
from ledger.documents import Document, Institution, Rule
from ledger.kind import Context, Kind, Lane, Signers
from ledger.kinds.dev_advance_clock import DevAdvanceClock
from ledger.parameters import Bounds
from ledger.schema import U16, Index, Payload
from ledger.state import Revision, State, TableSpec
from ledger.tables import DocumentTable

VERSION = 2
LIMIT = "greeting_characters_max"


class Greeting(Document, frozen=True):
    """A record of the table that version 2 adds."""

    institution: int
    text: str
    height: int


class Institution2(Institution, frozen=True):
    """An institution as version 2 has it: one field more."""

    motto: str


class Greet(Payload, frozen=True):
    """The institution at `host` greets, and takes the greeting for its motto."""

    host: Index
    text: Annotated[str, Meta(min_length=1, max_length=64)]


def greetings(state: State) -> DocumentTable[Greeting]:
    """The table that version 2 adds."""
    table: DocumentTable[Greeting] = vars(state)["greetings"]
    return table


def check(ctx: Context, payload: Greet) -> None:
    ctx.state.institutions.require(payload.host, "index")
    most = parameters.number(ctx.state, LIMIT)
    if len(payload.text) > most:
        raise Refused(Code.LIMIT_EXCEEDED, "rows", len(payload.text), most)


def apply(ctx: Context, payload: Greet) -> tuple[int, ...]:
    institution = ctx.state.institutions[payload.host]
    ctx.state.institutions.replace(payload.host, structs.replace(institution, motto=payload.text))
    return (greetings(ctx.state).append(Greeting(payload.host, payload.text, ctx.height)),)


GREET = Kind(
    9_000, "greet", Lane.ACTS, Signers.OFFICERS, Greet, check, apply, Cost(300), governed=True, since=VERSION
)
TABLE = TableSpec(200, None, VERSION, None, schema=Greeting, name="greetings")


def lift(institution: Institution) -> Institution2:
    """An institution of version 1 as version 2 writes it."""
    return Institution2(**structs.asdict(institution), motto=f"{institution.name} serves")


REVISION = Revision(VERSION, Institution2, lift)


def declare() -> None:
    """Make this process, from now on, software that knows version 2."""
    kinds.declare(GREET)
    policies.DEFAULT_POLICIES[VERSION] = {"greet": (Rule.ANY_ONE_OF, ("mof", "sbp"))}
    parameters.declare(LIMIT, Bounds(32, 1, 64, (), "characters, at most, of a greeting", since=VERSION))
    tables.declare(TABLE)
    tables.revise("institutions", REVISION)
    release.learn(VERSION)


class LongerAdvance(DevAdvanceClock, frozen=True):
    """A payload that an old kind gets in version 2, where a test asks for it."""

    reason: U16


def declare_longer_advance() -> None:
    """End `dev_advance_clock` with version 1; from version 2 on it is another one, of one field more."""
    first = kinds.BY_NAME["dev_advance_clock"]
    kinds.DECLARED[kinds.DECLARED.index(first)] = dataclasses.replace(first, until=1)
    kinds.declare(dataclasses.replace(first, payload=LongerAdvance, since=VERSION))
    versions._rules.clear()


def end_table(name: str) -> None:
    """End a table with version 1, where a test asks for it."""
    number = tables.NUMBERS[name]
    tables._declared[number] = dataclasses.replace(tables.TABLES[number], until=1)


@contextmanager
def known() -> Iterator[None]:
    """Know version 2 while the block lasts: what an installed release is, and the one before it after."""
    listed = list(kinds.DECLARED)
    registries = (
        kinds.BY_NAME,
        policies.DEFAULT_POLICIES,
        rights._declared,
        parameters._declared,
        tables._declared,
        versions._rules,
    )
    before = [dict(registry) for registry in registries]
    declare()
    try:
        yield
    finally:
        kinds.DECLARED[:] = listed
        for registry, was in zip(registries, before, strict=True):
            registry.clear()  # type: ignore[attr-defined]
            registry.update(was)  # type: ignore[attr-defined]
        release.learn(release.NEWEST)


def main() -> None:
    """Run the `mohur` command of software that knows version 2."""
    declare()
    from cli.main import main as command

    command()


if __name__ == "__main__":
    main()
