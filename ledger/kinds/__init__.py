"""Every kind of transaction, one module each: its schema, its check, its effect, its codes.

To add a kind, write its module and add its name to NAMES below.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from ledger.codes import InvariantError
from ledger.kind import Kind

NAMES = (
    # 1 to 31: VASPs and their clients
    "transfer",
    "transfer_batch",
    "account_open",
    "holding_open",
    "account_update",
    "offer_take",
    "licence_apply",
    # 32 to 39: the institutions' own signatures
    "approve",
    "reject",
    "withdraw",
    "dev_advance_clock",
    # from 40: acts of the institutions
    "vasp_register",
    "vasp_noc",
    "vasp_reject",
    "vasp_goaml",
    "vasp_subsidiary",
    "vasp_license",
    "vasp_suspend",
    "vasp_reinstate",
    "vasp_revoke",
    "programme_create",
    "fixing_attest",
    "cash_define",
    "cash_issue",
    "cash_destroy",
    "tbill_issue",
    "offer_open",
    "redemption_fund",
    "freeze",
    "lift",
    "parameter_set",
    "validator_update",
)


def _defined(name: str) -> Kind:
    """The kind that the module of this name ends in. Raises InvariantError if it calls itself otherwise."""
    kind = import_module(f"{__name__}.{name}").KIND
    if not isinstance(kind, Kind) or kind.name != name:
        raise InvariantError(f"ledger/kinds/{name}.py defines no kind called {name}")
    return kind


def _unique(kinds: list[Kind]) -> Mapping[int, Kind]:
    found: dict[int, Kind] = {}
    for kind in kinds:
        if kind.number in found:
            raise InvariantError(f"kind {kind.number} is both {found[kind.number].name} and {kind.name}")
        found[kind.number] = kind
    return MappingProxyType(found)


BY_NUMBER: Mapping[int, Kind] = _unique([_defined(name) for name in NAMES])
BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in BY_NUMBER.values()})
