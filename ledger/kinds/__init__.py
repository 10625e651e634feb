"""Every kind of transaction, one module each: its schema, its check, its effect, its codes.

To add a kind, write its module and add its name to NAMES below. A kind of a later version of the protocol
says so (`since`); what one version has is put together by `ledger.versions`.
"""

from importlib import import_module

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
    "settlement_key_rotate",
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
    "vasp_restore",
    "programme_create",
    "fixing_attest",
    "cash_define",
    "cash_issue",
    "cash_destroy",
    "instrument_issue",
    "offer_open",
    "redemption_fund",
    "offer_withdraw",
    "freeze",
    "lift",
    "kyc_restore",
    "parameter_set",
    "node_update",
    "upgrade_schedule",
    "upgrade_cancel",
    "institution_update",
    "settlement_key_replace",
    "officer_key_rotate",
    "settlement_key_restore",
)


def _defined(name: str) -> Kind:
    """The kind that the module of this name ends in. Raises InvariantError if it calls itself otherwise."""
    kind = import_module(f"{__name__}.{name}").KIND
    if not isinstance(kind, Kind) or kind.name != name:
        raise InvariantError(f"ledger/kinds/{name}.py defines no kind called {name}")
    return kind


DECLARED: list[Kind] = []  # every kind of every version of the protocol
BY_NAME: dict[str, Kind] = {}  # of each name the newest that this software knows


def declare(kind: Kind) -> None:
    """Know a kind. Raises InvariantError if, in some version, its number or name is another's."""
    for known in DECLARED:
        apart = (known.until or kind.since) < kind.since or (kind.until or known.since) < known.since
        if (known.number == kind.number or known.name == kind.name) and not apart:
            raise InvariantError(f"kind {kind.number} {kind.name} is already {known.number} {known.name}")
    DECLARED.append(kind)
    if kind.name not in BY_NAME or BY_NAME[kind.name].since < kind.since:
        BY_NAME[kind.name] = kind


for _name in NAMES:
    declare(_defined(_name))
