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
    approve,
    cash_define,
    cash_destroy,
    cash_issue,
    dev_advance_clock,
    fixing_attest,
    freeze,
    holding_open,
    licence_apply,
    lift,
    offer_open,
    offer_take,
    parameter_set,
    programme_create,
    redemption_fund,
    reject,
    tbill_issue,
    transfer,
    transfer_batch,
    validator_update,
    vasp_goaml,
    vasp_license,
    vasp_noc,
    vasp_register,
    vasp_reinstate,
    vasp_reject,
    vasp_revoke,
    vasp_subsidiary,
    vasp_suspend,
    withdraw,
)

MODULES = (
    # 1 to 31: VASPs and their clients
    transfer,
    transfer_batch,
    account_open,
    holding_open,
    account_update,
    offer_take,
    licence_apply,
    # 32 to 39: the institutions' own signatures
    approve,
    reject,
    withdraw,
    dev_advance_clock,
    # from 40: acts of the institutions
    vasp_register,
    vasp_noc,
    vasp_reject,
    vasp_goaml,
    vasp_subsidiary,
    vasp_license,
    vasp_suspend,
    vasp_reinstate,
    vasp_revoke,
    programme_create,
    fixing_attest,
    cash_define,
    cash_issue,
    cash_destroy,
    tbill_issue,
    offer_open,
    redemption_fund,
    freeze,
    lift,
    parameter_set,
    validator_update,
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
