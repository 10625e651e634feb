"""What each stage and category of a VASP may send: one table of data, and the question asked of it.

A NOC permits registering, incorporating and filing. Once goAML-registered, a VASP may also do what the
parameter aml_registered_services lists, below its caps; that list can only name acts that are services
here, so it can never open distribution. Everything else needs a licence in a fitting category. Before the
licence no account of a VASP's clients can receive anything: custodial ones receive by rights that need it,
self-custody ones are opened only under it. So whoever holds something can be bound by nothing but what
`exit` says, and `exit` holds at every stage: a client can always leave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ledger.codes import Code, Refused
from ledger.documents import Stage, Vasp
from ledger.release import FIRST

BROKER_DEALER = "broker_dealer"
CUSTODY = "custody"
EXCHANGE = "exchange"
DERIVATIVES = "derivatives"
LENDING = "lending"
ISSUANCE = "issuance"
ASSET_MANAGEMENT = "asset_management"
SETTLEMENT = "settlement"
CATEGORIES = (
    BROKER_DEALER,
    CUSTODY,
    EXCHANGE,
    DERIVATIVES,
    LENDING,
    ISSUANCE,
    ASSET_MANAGEMENT,
    SETTLEMENT,
)  # fmt: skip

LICENCE_APPLY = "licence_apply"
ACCOUNT_OPEN = "account_open"
ACCOUNT_UPDATE = "account_update"
SELF_CUSTODY_OPEN = "self_custody_open"
HOLDING_OPEN = "holding_open"
TRANSFER_CASH = "transfer_cash"
TRANSFER_SECURITY = "transfer_security"
OFFER_TAKE = "offer_take"
EXIT = "exit"  # moving a client's holding to an account that this VASP does not keep


@dataclass(frozen=True, slots=True)
class Right:
    """`stages` that hold the right; at LICENSED one of `categories` is needed too. `service`: the parameter
    aml_registered_services may list it for a VASP that is goAML-registered and not yet licensed.

    The versions of the protocol from `since` on have it, as it is: kinds of all of them ask for it by name,
    so one that a later version has otherwise is another right, with another name.
    """

    stages: tuple[Stage, ...]
    categories: tuple[str, ...]
    service: bool
    since: int = FIRST


_KEEPERS = (BROKER_DEALER, CUSTODY, EXCHANGE, ASSET_MANAGEMENT)
_TRADERS = (BROKER_DEALER, CUSTODY, EXCHANGE, ASSET_MANAGEMENT, SETTLEMENT)
_DISTRIBUTORS = (BROKER_DEALER, EXCHANGE, ISSUANCE)

# act               stages that hold it                        categories      service
_declared: dict[str, Right] = {
    LICENCE_APPLY:     Right((Stage.NOC, Stage.LICENCE_APPLIED), CATEGORIES,    False),
    ACCOUNT_OPEN:      Right((Stage.LICENSED,),                  _KEEPERS,      True),
    SELF_CUSTODY_OPEN: Right((Stage.LICENSED,),                  _KEEPERS,      False),
    ACCOUNT_UPDATE:    Right((Stage.LICENSED,),                  CATEGORIES,    True),
    HOLDING_OPEN:      Right((Stage.LICENSED,),                  _KEEPERS,      True),
    TRANSFER_CASH:     Right((Stage.LICENSED,),                  CATEGORIES,    False),
    TRANSFER_SECURITY: Right((Stage.LICENSED,),                  _TRADERS,      False),
    OFFER_TAKE:        Right((Stage.LICENSED,),                  _DISTRIBUTORS, False),
    EXIT:              Right(tuple(Stage),                       CATEGORIES,    False),
}  # fmt: skip
RIGHTS: Mapping[str, Right] = MappingProxyType(_declared)


def services(version: int) -> tuple[str, ...]:
    """The acts that are services under a version of the protocol."""
    return tuple(act for act, right in RIGHTS.items() if right.service and right.since <= version)


def require(vasp: Vasp, act: str, services: tuple[str, ...]) -> None:
    """Refuse unless `vasp` may send `act`; `services` is the parameter aml_registered_services.

    Raises Refused(stage_not_reached) whose value is the stage (or categories) it has and whose operands name
    what is missing.
    """
    right = RIGHTS[act]
    if vasp.stage is Stage.LICENSED and Stage.LICENSED in right.stages:
        if not any(category in right.categories for category in vasp.categories):
            raise Refused(Code.STAGE_NOT_REACHED, "vasp.categories", ",".join(vasp.categories), act)
        return
    if vasp.stage in right.stages:
        return
    if is_capped(vasp) and right.service and act in services:
        return
    if vasp.stage in (Stage.NOC, Stage.LICENCE_APPLIED) and right.service and act in services:
        raise Refused(Code.STAGE_NOT_REACHED, "vasp.goaml_ms", 0, act, _set_of(right.stages))
    raise Refused(Code.STAGE_NOT_REACHED, "vasp.stage", vasp.stage, act, _set_of(right.stages))


def require_stage(vasp: Vasp, act: str, stages: tuple[Stage, ...]) -> None:
    """Refuse an act of the lifecycle unless `vasp` stands at one of `stages`, given in order.

    Raises Refused(stage_not_reached) when it has still to get there, Refused(wrong_status) when it is past
    or beside it.
    """
    if vasp.stage in stages:
        return
    below = vasp.stage <= Stage.LICENSED and vasp.stage < stages[0] <= Stage.LICENSED
    raise Refused(
        Code.STAGE_NOT_REACHED if below else Code.WRONG_STATUS, "vasp.stage", vasp.stage, act, _set_of(stages)
    )


def is_capped(vasp: Vasp) -> bool:
    """Whether `vasp` works between goAML registration and licence, where the caps of services apply."""
    return vasp.stage in (Stage.NOC, Stage.LICENCE_APPLIED) and vasp.goaml_ms > 0


def _set_of(stages: tuple[Stage, ...]) -> int:
    """The stages as one integer, a bit each: the bit 1 << stage."""
    return sum(1 << stage for stage in stages)
