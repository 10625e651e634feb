"""Every read by its name: one class of declarations a topic, joined here.

A new read is a function in the class of its topic; a new topic is a module here, and its class a base of
`Reads`. `api.declare` says what follows from a declaration.
"""

from typing import Any

from api.declare import Read
from api.reads.accounts import AccountReads
from api.reads.chain import ChainReads
from api.reads.institutions import InstitutionReads
from api.reads.instruments import InstrumentReads
from api.reads.nodes import NodeReads
from api.reads.proposals import ProposalReads
from api.reads.restrictions import RestrictionReads
from api.reads.running import RunningReads
from api.reads.statements import StatementReads
from api.reads.stream import StreamReads
from api.reads.transactions import TransactionReads


class Reads(
    ChainReads,
    TransactionReads,
    AccountReads,
    InstrumentReads,
    InstitutionReads,
    NodeReads,
    ProposalReads,
    RestrictionReads,
    StreamReads,
    StatementReads,
    RunningReads,
):
    """Everything that a gateway may ask of its node. Both clients have these as methods."""


def _by_name() -> dict[str, Read[Any, Any]]:
    found: dict[str, Read[Any, Any]] = {}
    for topic in Reads.__bases__:
        for declared in vars(topic).values():
            if isinstance(declared, Read):
                if declared.name in found:
                    raise TypeError(f"two reads are called {declared.name}")
                found[declared.name] = declared
    return found


READS = _by_name()
