"""What a refusal says, in words: one catalogue, read wherever a person reads, and by nothing that is hashed.

A refusal is a code, a field and values (`ledger.codes.Refused`). Its sentence stands here under code,
field and number of operands; `{0}` is the field's value, `{1}` and on are the operands of the rule. Behind a
colon stands how a value is read: `{1:stages}`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from ledger import kinds, rights
from ledger.agenda import What
from ledger.calendar import text_of
from ledger.codes import Code, Plain, Refused
from ledger.documents import InstrumentStatus, ProposalStatus, Stage, Target
from ledger.fields import FIELD_NAMES, FieldName
from ledger.kind import Kind
from ledger.kinds.account_open import TYPES
from ledger.kinds.instrument_issue import FIXED_CURRENCY
from ledger.limits import (
    AMOUNT_MAX,
    CURRENCIES_MAX,
    FREEZES_OPEN_MAX,
    NODES_MAX,
    OFFERS_OPEN_MAX,
    OFFICERS_MAX,
    SECURITIES_LIVE_MAX,
    SIGNATURES_MAX,
    TENOR_DAYS_MAX,
    THRESHOLD_MAX,
    THRESHOLD_MIN,
    TIME_MS_MAX,
    UNIT_COST_MIN,
    WINDOW,
)
from ledger.rows import AccountType, Role
from ledger.state import TABLES
from ledger.terms import Act
from primitives.signatures import KeyFault


class Words(NamedTuple):
    """What a user sees of a refusal: `field` held `value`, and `rule` says why not. All empty for success."""

    field: str
    value: str
    rule: str


class Sentence(NamedTuple):
    """One rule in words, for one code, field (None: any) and number of operands. `called` and `value` say how
    field and value are shown where not as they stand."""

    code: Code
    field: FieldName | None
    operands: int
    rule: str
    called: str = ""
    value: str = "{0}"


_STRENGTHS: tuple[FieldName, ...] = ("losable_nodes", "losable_institutions", "deciding_nodes")
_SIDES: tuple[FieldName, ...] = ("from_holding", "to_holding", "security", "cash")


_NEEDS = "{1} needs stage {2:stages}"
_TYPES = ", ".join(f"{int(each)} ({each.name})" for each in TYPES)

_ALL_PROGRAMMES = "all programmes together would reach {1}, at most {2} (programmes_cap_cents)"
_UNIT_COST = f"a unit must cost at least {UNIT_COST_MIN} minor units, or rounding takes over a basis point"
_ISIN_SHAPE = "an ISIN is two letters, nine letters or digits and a check digit"
_CUSTODY = {
    AccountType.CUSTODIAL: "a custodial account moves only by its own VASP's settlement key",
    AccountType.CLIENT_MONEY: "a custodial account moves only by its own VASP's settlement key",
    AccountType.SELF_CUSTODY: "a self-custody account moves only by its owner's key",
    AccountType.INSTITUTION: "accounts of institutions and pools do not move by transfer",
    AccountType.POOL: "accounts of institutions and pools do not move by transfer",
}
_ACTS = {
    Act.ISSUE: "is not issued under a programme",
    Act.OFFER: "only a security is offered",
    Act.REDEEM: "only a security is redeemed",
    Act.FUND: "only cash is issued against a funding debit",
    Act.PAY: "only cash pays for a security",
}
_KEYS = {
    Role.OFFICER: "an officer's key",
    Role.SETTLEMENT: "a VASP's settlement key",
    Role.OWNER: "an owner's key",
    Role.NODE: "a node's key",
}
SENTENCES: tuple[Sentence, ...] = (
    # The envelope.
    Sentence(Code.LIMIT_EXCEEDED, "transaction", 1, "at most {1} bytes in all"),
    Sentence(Code.MALFORMED, "transaction", 1, "{1}"),
    Sentence(Code.MALFORMED, "signers[]", 1, "must ascend, each once"),
    Sentence(Code.MALFORMED, "signatures", 1, "must be {1} bytes for each signer"),
    Sentence(Code.MALFORMED, "body", 2, "{1} has exactly {2} payload fields", called="payload"),
    Sentence(Code.MALFORMED, "payload", 2, "{2}", called="{1}"),
    Sentence(Code.UNKNOWN_KIND, "kind", 0, "no kind has this number"),
    Sentence(Code.UNKNOWN_SIGNER, "signers", 0, "names no enrolled key"),
    Sentence(Code.BAD_SIGNATURE, "signatures", 0, "must be the signer's over this body and this chain"),
    Sentence(Code.EXPIRED, "valid_until", 1, "the time is {1} ms"),
    Sentence(Code.EXPIRY_TOO_FAR, "valid_until", 2, "at most {1} s after {2} ms"),
    *(
        Sentence(code, "sequence", 1, f"the signer's highest is {{1}}, its window {WINDOW}")
        for code in (Code.SEQUENCE_USED, Code.SEQUENCE_STALE, Code.SEQUENCE_AHEAD)
    ),
    Sentence(Code.LANE_ORDER, "kind", 0, "acts of institutions stand before all other transactions"),
    Sentence(Code.LIMIT_EXCEEDED, "acts_quota", 0, "the block's acts are used up"),
    Sentence(Code.LIMIT_EXCEEDED, "cost", 1, "costs more than a whole block may, {1} (block_cost)"),
    Sentence(
        Code.LIMIT_EXCEEDED, "block_cost", 2, "the block's cost would be {1}, at most {2}", called="cost"
    ),
    Sentence(Code.REPEATED, "transaction", 0, "stands in the block already"),
    # Who may.
    Sentence(Code.NOT_AUTHORISED, "signatures", 1, "{1:kind} is signed by one key alone", called="signers"),
    Sentence(Code.NOT_AUTHORISED, "signers", 1, "{1:kind} is signed by {1:roles}"),
    Sentence(Code.NOT_AUTHORISED, "signers.role", 1, "must be {1:key}", called="signers"),
    Sentence(Code.NOT_AUTHORISED, "policy", 2, "{1} has no say under the policy of {2}", called="signers"),
    Sentence(
        Code.NOT_AUTHORISED,
        "proposal.maker",
        0,
        "a proposal is withdrawn by its maker alone",
        called="signers",
    ),
    Sentence(
        Code.DUPLICATE_OFFICER, "signers", 0, "this officer has already signed the proposal and counts once"
    ),
    Sentence(
        Code.LIMIT_EXCEEDED,
        "signers",
        0,
        f"at most {SIGNATURES_MAX} of one institution's officers sign",
    ),
    Sentence(Code.LIMIT_EXCEEDED, "proposal", 1, "proposals of {1} open at once (proposals_open_max)"),
    Sentence(Code.SUPERSEDED, "proposal", 0, "this act took effect since, on what the proposal rests on"),
    Sentence(
        Code.SUPERSEDED, "proposal", 1, "what it rests on is another since block {1}, in which it was made"
    ),
    Sentence(
        Code.SUPERSEDED,
        "agenda",
        1,
        "{1:what} came first and moved what the proposal rests on: look at what is there now",
    ),
    Sentence(
        Code.SUPERSEDED,
        "institution",
        0,
        "this act changed an institution whose earlier signatures would now be enough: propose it again",
        called="proposal",
    ),
    Sentence(Code.OTHER_ACT, "act", 1, "the proposal's act is {1}: look at it again before you sign"),
    Sentence(Code.CLAIMED, "proposal", 0, "this open proposal claims the same name, code, debit or key"),
    Sentence(
        Code.LIMIT_EXCEEDED, "signers", 1, "at most {1} open proposals of one maker (proposals_open_max)"
    ),
    Sentence(
        Code.WRONG_STATUS, "proposal.status", 0, "only an OPEN proposal is signed", value="{0:proposal}"
    ),
    Sentence(Code.STAGE_NOT_REACHED, "vasp.stage", 2, _NEEDS, value="{0:stage}"),
    Sentence(Code.WRONG_STATUS, "vasp.stage", 2, _NEEDS, value="{0:stage}"),
    Sentence(Code.STAGE_NOT_REACHED, "vasp.goaml_ms", 2, f"{_NEEDS}, or goAML registration before it"),
    Sentence(Code.STAGE_NOT_REACHED, "vasp.goaml_ms", 0, "a licence needs goAML registration (vasp_goaml)"),
    Sentence(
        Code.STAGE_NOT_REACHED, "vasp.subsidiary_ms", 0, "a licence needs a subsidiary (vasp_subsidiary)"
    ),
    Sentence(Code.STAGE_NOT_REACHED, "vasp.categories", 1, "{1} needs a licence in one of {1:categories}"),
    # Records.
    Sentence(Code.NOT_FOUND, None, 1, "names no record of {1:table}"),
    Sentence(Code.NOT_FOUND, None, 2, "names no record of {2:table}"),
    Sentence(Code.ALREADY_EXISTS, "name", 0, "the name is taken"),
    Sentence(Code.BAD_IDENTIFIER, "name", 0, "must match [a-z][a-z0-9_-]{{0,31}}"),
    # Parameters, nodes, the clock.
    Sentence(Code.NOT_FOUND, "name", 0, "there is no such parameter"),
    Sentence(Code.OUT_OF_RANGE, "value", 0, "the parameter is an integer", value="a list of {0}"),
    Sentence(Code.OUT_OF_RANGE, "value[]", 0, "the parameter is a list of names", called="value"),
    Sentence(Code.NOT_FOUND, "value[]", 1, "is none of the names that the parameter may list"),
    Sentence(Code.OUT_OF_RANGE, "value", 2, "must be from {1} to {2}"),
    Sentence(Code.OUT_OF_RANGE, "value[]", 1, "stands twice"),
    # Keys, nodes, institutions.
    Sentence(Code.KEY_RETIRED, "signers", 0, "the key has been replaced or removed"),
    Sentence(
        Code.KEY_PENDING, "signers", 0, "the key waits to take another's place (settlement_key_replace)"
    ),
    Sentence(Code.BAD_KEY, None, 1, "{1:key_fault}"),
    Sentence(Code.BAD_KEY, None, 2, "{2:key_fault}"),
    Sentence(Code.KEY_ALREADY_ENROLLED, None, 0, "a key is enrolled once, ever"),
    Sentence(Code.KEY_ALREADY_ENROLLED, None, 1, "a key is enrolled once, ever"),
    Sentence(Code.BAD_PROOF, None, 0, "the key must sign its own enrolment, for this very purpose"),
    Sentence(Code.BAD_PROOF, None, 1, "the key must sign its own enrolment, for this very purpose"),
    Sentence(Code.MALFORMED, "rows[].proof", 1, "there is no key to prove"),
    Sentence(Code.MALFORMED, "proof", 0, "there is no new key to prove"),
    Sentence(Code.BAD_IDENTIFIER, "node", 0, "must match [a-z][a-z0-9_-]{{0,31}}"),
    Sentence(Code.OUT_OF_RANGE, "power", 1, "a validator has power, no other node has"),
    Sentence(Code.OUT_OF_RANGE, "power", 0, "no validator would be left"),
    Sentence(Code.BAD_KEY, "public_key", 0, "a new node brings its key"),
    Sentence(Code.NOT_FOUND, "node", 0, "there is no node of this name to retire"),
    Sentence(Code.LIMIT_EXCEEDED, "node", 0, f"at most {NODES_MAX} nodes"),
    Sentence(Code.WRONG_STATUS, "node", 0, "nothing would change"),
    Sentence(Code.OUT_OF_RANGE, "institution", 1, "the node is of institution {1}, for good"),
    *(
        Sentence(Code.OUT_OF_RANGE, field, 2, "must be at least {2} ({1}), unless it was as little before")
        for field in _STRENGTHS
    ),
    Sentence(Code.WRONG_STATUS, "institution", 0, "nothing would change"),
    Sentence(Code.NOT_FOUND, "officer", 0, "is no officer of the institution that proposes"),
    Sentence(Code.NOT_FOUND, "remove[]", 1, "is no officer of the institution, or stands twice"),
    Sentence(
        Code.LIMIT_EXCEEDED,
        "institution.officers",
        0,
        f"the institution would have so many, at most {OFFICERS_MAX}",
        called="officers",
    ),
    Sentence(
        Code.OUT_OF_RANGE,
        "institution.officers",
        1,
        "the institution would have so few, its threshold is {1}",
        called="officers",
    ),
    Sentence(
        Code.OUT_OF_RANGE,
        "threshold",
        1,
        f"must be from {THRESHOLD_MIN} to {{1}}, the officers there would be, at most {THRESHOLD_MAX}",
    ),
    Sentence(
        Code.ALREADY_EXISTS,
        "ca_roots[]",
        1,
        "the root with this SHA-256 is another institution's, or stands twice",
    ),
    Sentence(Code.OUT_OF_RANGE, "ca_roots[].until_ms", 2, "must lie after {2}"),
    Sentence(Code.OUT_OF_RANGE, "ca_roots", 0, "one root must be without end"),
    Sentence(
        Code.OUT_OF_RANGE,
        "ca_roots",
        1,
        "one of the roots that it has must stay for {1} s at least (ca_root_overlap_s): it has nodes",
    ),
    Sentence(Code.NOT_AUTHORISED, "chain", 0, "the clock moves only on a chain of class development"),
    Sentence(Code.OUT_OF_RANGE, "advance_ms", 0, f"time ends at {TIME_MS_MAX} ms"),
    # VASPs, accounts, holdings.
    Sentence(Code.ALREADY_EXISTS, "vasp.goaml_ms", 0, "the VASP's goAML registration is on record"),
    Sentence(Code.ALREADY_EXISTS, "vasp.subsidiary_ms", 0, "the VASP's local subsidiary is on record"),
    Sentence(Code.NOT_FOUND, "categories[]", 1, "is none of those that may be asked for here"),
    Sentence(Code.OUT_OF_RANGE, "categories[]", 1, "stands twice"),
    Sentence(Code.CAP_EXCEEDED, "rows", 1, "at most {1} accounts before the licence (aml_accounts_cap)"),
    Sentence(Code.MALFORMED, "rows[].type", 1, f"a VASP opens accounts of the types {_TYPES}"),
    Sentence(Code.OUT_OF_RANGE, "rows[].kyc_until", 2, "must be after {2}"),
    Sentence(Code.MALFORMED, "rows[].owner_key", 1, "given for self-custody, and only then"),
    Sentence(Code.NOT_AUTHORISED, "account", 0, "is updated by its own VASP"),
    Sentence(Code.WRONG_STATUS, "account", 0, "the account is closed"),
    Sentence(Code.NOT_AUTHORISED, "rows[].account", 1, "is opened by its own VASP or by its owner"),
    Sentence(Code.WRONG_STATUS, "rows[].account", 1, "the account is closed"),
    Sentence(Code.ALREADY_EXISTS, "rows[].instrument", 2, "account {2} has a holding of it"),
    Sentence(Code.LIMIT_EXCEEDED, "rows[].account", 2, "at most {2} holdings that are not finished"),
    Sentence(Code.OUT_OF_RANGE, "account.kyc_floor", 1, "PVARA restored it until {1}", called="kyc_until"),
    Sentence(Code.OUT_OF_RANGE, "kyc_until", 1, "must be after {1}"),
    Sentence(Code.OUT_OF_RANGE, "accounts[]", 1, "must ascend, each once"),
    Sentence(Code.WRONG_STATUS, "accounts[]", 1, "is no client's, or closed"),
    # Freezes.
    Sentence(Code.WRONG_STATUS, "restriction", 0, "this freeze has been lifted"),
    Sentence(Code.WRONG_STATUS, "restriction", 1, "ends with the freezes that cause it, such as {1}"),
    Sentence(Code.NOT_FOUND, "index", 0, "there is one market, index 0"),
    Sentence(
        Code.LIMIT_EXCEEDED, "index", 0, f"at most {FREEZES_OPEN_MAX} open freezes of it by one institution"
    ),
    Sentence(Code.FROZEN, None, 0, "the {0:target} is frozen", value="{0:target}"),
    # Transfers.
    Sentence(Code.MALFORMED, "rows", 1, "must be rows of {1} bytes, without a rest"),
    Sentence(Code.LIMIT_EXCEEDED, "rows", 1, "at most {1} rows"),
    Sentence(Code.MALFORMED, "amount", 0, f"must be from 1 to {AMOUNT_MAX}"),
    Sentence(Code.SAME_HOLDING, "to_holding", 0, "must be another holding than from_holding"),
    Sentence(Code.INSTRUMENT_MISMATCH, "to_holding", 1, "must hold instrument {1}"),
    Sentence(Code.NOT_AUTHORISED, "to_holding", 0, "accounts of institutions and pools take no transfers"),
    *(Sentence(Code.NOT_AUTHORISED, field, 1, "{1:custody}") for field in _SIDES),
    Sentence(Code.WRONG_STATUS, "from_holding", 0, "the account is closed"),
    Sentence(Code.WRONG_STATUS, "to_holding", 0, "the account is closed"),
    Sentence(Code.WRONG_STATUS, "security", 0, "the account is closed"),
    *(Sentence(Code.INELIGIBLE, field, 0, "the account's KYC has ended") for field in _SIDES),
    Sentence(
        Code.TRANSFERS_CLOSED, "instrument.status", 0, "only ACTIVE is transferred", value="{0:instrument}"
    ),
    Sentence(Code.TRANSFERS_CLOSED, "instrument.maturity_ms", 0, "transfers close at maturity"),
    Sentence(Code.INELIGIBLE, "account.jurisdiction", 1, "{1} does not admit the jurisdiction"),
    Sentence(Code.INELIGIBLE, "account.investor_class", 1, "{1} does not admit the investor class"),
    Sentence(Code.OVERDRAFT, "amount", 1, "at most {1} is available"),
    Sentence(
        Code.OUT_OF_RANGE, "amount", 2, "the pool can still need {1}: then it holds {2}, all that may be due"
    ),
    Sentence(Code.SUPPLY_EXCEEDED, "amount", 1, f"the supply is {{1}} and may not pass {AMOUNT_MAX}"),
    # Cash.
    Sentence(Code.BAD_IDENTIFIER, "currency", 0, "a currency code is three capital letters"),
    Sentence(Code.ALREADY_EXISTS, "currency", 0, "this currency is defined"),
    Sentence(Code.NOT_AUTHORISED, "holding", 0, "cash is issued to client money or the treasury"),
    Sentence(Code.DEBIT_ALREADY_USED, "debit", 0, "it has funded an issue of cash"),
    Sentence(Code.NOT_FOUND, "debit", 0, "has funded no issue of cash"),
    Sentence(Code.OUT_OF_RANGE, "amount", 1, "{1} of this debit is not yet reversed"),
    Sentence(Code.INSTRUMENT_MISMATCH, "holding", 1, "the debit funded {1}"),
    Sentence(
        Code.NOT_AUTHORISED,
        "account.type",
        0,
        "cash is destroyed out of client money or institutions' cash",
    ),
    # Instruments and their terms.
    Sentence(Code.INSTRUMENT_MISMATCH, None, 2, "{1:act}"),
    Sentence(Code.INSTRUMENT_MISMATCH, "terms", 0, "cash is defined by cash_define"),
    Sentence(
        Code.OUT_OF_RANGE, "terms.issue_day", 1, "is before today, {1}: dates are terms and do not slide"
    ),
    Sentence(
        Code.OUT_OF_RANGE,
        "terms.maturity_day",
        1,
        f"must be 1 to {TENOR_DAYS_MAX} days after issue_day, {{1:day}}",
        value="{0:day}",
    ),
    Sentence(Code.OUT_OF_RANGE, "terms.face_minor", 0, _UNIT_COST),
    Sentence(Code.OUT_OF_RANGE, "price_e4", 0, _UNIT_COST),
    Sentence(Code.INSTRUMENT_MISMATCH, "rows[].instrument", 1, "client money is cash alone"),
    Sentence(Code.WRONG_STATUS, "rows[].instrument", 1, "has been redeemed"),
    # Versions.
    Sentence(Code.UNKNOWN_VERSION, "version", 1, "at most {1}, which is in force"),
    Sentence(Code.UNKNOWN_VERSION, "version", 2, "version {1} has no such kind {2}"),
    Sentence(Code.UNKNOWN_VERSION, "envelope.version", 2, "must be {1} to {2}", called="version"),
    Sentence(Code.LIMIT_EXCEEDED, "signatures", 1, "at most {1}", called="signers"),
    Sentence(Code.WRONG_STATUS, "entry", 0, "only a version that is SCHEDULED is cancelled"),
    Sentence(Code.WRONG_STATUS, "version", 1, "version {1} is scheduled already"),
    Sentence(Code.OUT_OF_RANGE, "version", 1, "must be the one after {1}, which is in force"),
    Sentence(Code.OUT_OF_RANGE, "height", 2, "at least {1} blocks after {2} (upgrade_notice_blocks)"),
    # Programmes, fixings, bills, offers.
    Sentence(Code.CAP_EXCEEDED, "cap_cents", 2, _ALL_PROGRAMMES),
    Sentence(Code.OUT_OF_RANGE, "as_of_ms", 1, "lies after ledger time {1}"),
    Sentence(Code.FIXING_STALE, "as_of_ms", 1, "older than {1} s (fixing_max_age_s)"),
    Sentence(Code.OUT_OF_RANGE, "fixing.as_of_ms", 1, "the last fixing is as of {1}", called="as_of_ms"),
    Sentence(Code.FIXING_STALE, "programme", 0, "no fixing has been attested yet"),
    Sentence(Code.FIXING_STALE, "fixing.as_of_ms", 1, "older than {1} s (fixing_max_age_s)"),
    Sentence(
        Code.CAP_EXCEEDED, "units", 3, "{1} US cents of face would be out, the cap is {2} (programme {3})"
    ),
    Sentence(Code.INSTRUMENT_MISMATCH, "cash", 0, f"a security is paid in {FIXED_CURRENCY}"),
    Sentence(Code.BAD_IDENTIFIER, "isin", 0, _ISIN_SHAPE),
    Sentence(Code.BAD_IDENTIFIER, "isin", 1, "by Luhn the check digit must be {1}"),
    Sentence(Code.ALREADY_EXISTS, "isin", 0, "an instrument has this ISIN"),
    Sentence(Code.OUT_OF_RANGE, "reference", 0, "given when, and only when, immobilised"),
    Sentence(Code.SUPPLY_EXCEEDED, "units", 1, f"{{1}} of face, at most {AMOUNT_MAX}"),
    Sentence(Code.LIMIT_EXCEEDED, "currency", 0, f"at most {CURRENCIES_MAX} currencies are defined"),
    Sentence(Code.LIMIT_EXCEEDED, "isin", 0, f"at most {SECURITIES_LIVE_MAX} securities are unredeemed"),
    Sentence(Code.WRONG_STATUS, "instrument.status", 0, "only ACTIVE is offered", value="{0:instrument}"),
    Sentence(Code.WRONG_STATUS, "instrument.redeemed_ms", 0, "redeemed: its holders have cash for it"),
    Sentence(Code.OUT_OF_RANGE, "opens_ms", 1, "must be before closes_ms, {1}"),
    Sentence(Code.OUT_OF_RANGE, "closes_ms", 1, "ledger time is {1}"),
    Sentence(Code.OUT_OF_RANGE, "instrument.maturity_ms", 1, "after maturity at {1}", called="closes_ms"),
    Sentence(Code.OUT_OF_RANGE, "vasps[]", 1, "must ascend, each once"),
    Sentence(Code.OVERDRAFT, "units", 1, "the treasury has {1} to offer"),
    Sentence(Code.LIMIT_EXCEEDED, "instrument", 0, f"{OFFERS_OPEN_MAX} offers are open"),
    Sentence(Code.NOT_AUTHORISED, "offer", 0, "the offer is not addressed to this VASP"),
    Sentence(Code.OFFER_CLOSED, "offer", 0, "only an open offer is withdrawn"),
    Sentence(Code.OFFER_CLOSED, "offer", 2, "open from {1} to before {2}"),
    Sentence(Code.MALFORMED, "units", 0, f"must be from 1 to {AMOUNT_MAX}"),
    Sentence(Code.INSTRUMENT_MISMATCH, "security", 1, "must hold {1}"),
    Sentence(Code.INSTRUMENT_MISMATCH, "cash", 1, "must hold instrument {1}"),
    Sentence(Code.NOT_AUTHORISED, "security", 0, "an offer is taken for a client's account"),
    Sentence(Code.NOT_AUTHORISED, "cash", 0, "a client pays from his own cash or the VASP's client money"),
    Sentence(Code.OFFER_EXHAUSTED, "units", 1, "{1} units of the offer are left"),
    Sentence(Code.DVP_CASH_SHORT, "cash", 2, "{1} is due, {2} available"),
)


def words(code: int, field: int, values: Sequence[Plain]) -> Words:
    """A refusal, as a result or a proposal keeps it, in words."""
    if code == Code.OK:
        return Words("", "", "")
    sentence = sentence_for(Code(code), FIELD_NAMES[field], len(values) - 1)
    said = [_Said(value) for value in values]
    called = (sentence.called or FIELD_NAMES[field]).format(*said)
    if "[]" in called:
        called = called.replace("[]", f"[{said[1]}]")
    return Words(called, sentence.value.format(*said), sentence.rule.format(*said))


def sentence_for(code: Code, field: FieldName, operands: int) -> Sentence:
    """The sentence for this refusal. One that has none is a fault of ours, which a reader survives."""
    found = CATALOGUE.get((code, field, operands)) or CATALOGUE.get((code, None, operands))
    return found or Sentence(code, field, operands, " ".join(f"{{{n}}}" for n in range(1, operands + 1)))


def words_of(refused: Refused) -> Words:
    """A refusal just raised, in words."""
    return words(refused.code, refused.field_number, refused.values)


def sentence_of(refused: Refused) -> str:
    """A refusal in one line, for logs and errors."""
    said = words_of(refused)
    return f"{refused.code.word}: {said.field} = {said.value}: {said.rule}"


class _Said:
    """A value inside a sentence, which says by the format's name how it is read."""

    def __init__(self, value: Plain) -> None:
        self._value = value

    def __format__(self, reading: str) -> str:
        value = self._value
        if reading:
            return _READINGS[reading](value)
        return value.hex() if isinstance(value, bytes) else str(value)


def _member(members: type[IntEnum]) -> Callable[[Any], str]:
    return lambda value: members(value).name


def _kind(number: Any) -> Kind:
    return next(kind for kind in kinds.DECLARED if kind.number == number)


def _roles(number: Any) -> str:
    return " or ".join(sorted(role.name.lower() for role in _kind(number).signers.roles))


_READINGS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "stage": _member(Stage),
        "stages": lambda stages: " or ".join(stage.name for stage in Stage if stages >> stage & 1),
        "instrument": _member(InstrumentStatus),
        "proposal": _member(ProposalStatus),
        "what": _member(What),
        "target": lambda target: Target(target).name.lower(),
        "day": text_of,
        "kind": lambda number: _kind(number).name,
        "roles": _roles,
        "key": lambda role: _KEYS[Role(role)],
        "custody": lambda kind: _CUSTODY[AccountType(kind)],
        "key_fault": lambda fault: KeyFault(fault).rule,
        "table": lambda number: TABLES[number].name,
        "categories": lambda act: ", ".join(rights.RIGHTS[act].categories),
        "act": lambda act: _ACTS[Act(act)],
    }
)
CATALOGUE = {(each.code, each.field, each.operands): each for each in SENTENCES}
