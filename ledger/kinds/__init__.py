"""Every kind of transaction, one module each: its schema, its check, its effect, its codes.

To add a kind, write its module and add its name to the import and to MODULES below.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ledger.codes import InvariantError
from ledger.kind import Kind
from ledger.kinds import (
    account_open,
    account_update,
    holding_open,
    transfer,
    transfer_batch,
)

MODULES = (
    # 1 to 31: VASPs and their clients
    transfer,
    transfer_batch,
    account_open,
    holding_open,
    account_update,
    # 32 to 39: the institutions' own signatures
    # from 40: acts of the institutions
)


def _unique(kinds: list[Kind]) -> Mapping[int, Kind]:
    found: dict[int, Kind] = {}
    for kind in kinds:
        if kind.number in found or kind.name in {other.name for other in found.values()}:
            raise InvariantError(f"kind {kind.number} {kind.name} is defined twice")
        found[kind.number] = kind
    return MappingProxyType(found)


BY_NUMBER: Mapping[int, Kind] = _unique([module.KIND for module in MODULES])
BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in BY_NUMBER.values()})
