"""The genesis of a chain: what it says, its hash, every problem it has, and the state it creates.

The hash is over the canonical encoding of the checked genesis, never over the file that an operator wrote;
every signature on the chain carries it (DESIGN 3).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from ledger import alphabet
from ledger.documents import (
    NONE,
    CaRoot,
    ChainRecord,
    Document,
    Institution,
    Node,
    NodeRole,
    Parameter,
    Policy,
    Rule,
    Version,
    VersionStatus,
)
from ledger.enrolment import enrol
from ledger.identifiers import NAME
from ledger.limits import (
    CA_ROOT_BYTES_MAX,
    INSTITUTIONS_MAX,
    NODES_MAX,
    OFFICERS_MAX,
    POWER_MAX,
    THRESHOLD_MAX,
    THRESHOLD_MIN,
    TIME_MS_MAX,
    TITLE_CHARACTERS_MAX,
)
from ledger.parameters import Value
from ledger.policies import default_policies_at
from ledger.positions import open_institution_account
from ledger.release import FIRST, newest
from ledger.rows import Role
from ledger.state import State
from ledger.survival import LEAST, strength
from ledger.versions import rules
from ledger.words import words_of
from primitives.codec import builtins, encode
from primitives.hashing import GENESIS, tagged_hash
from primitives.signatures import enrolment_fault

DEVELOPMENT = "development"
PRODUCTION = "production"
CLASSES = (DEVELOPMENT, PRODUCTION)
VALIDATOR = "validator"
OBSERVER = "observer"
ROLES = (VALIDATOR, OBSERVER)


class GenesisInstitution(Document, frozen=True):
    """An institution, its officers' public keys, and the root certificate (DER) of its node certificates."""

    name: str
    title: str
    voting: bool
    threshold: int
    officers: tuple[bytes, ...]
    ca_root: bytes


class GenesisNode(Document, frozen=True):
    """A node; `role` is validator or observer, `power` 0 for observers."""

    name: str
    institution: str
    public_key: bytes
    power: int
    role: str


class GenesisPolicy(Document, frozen=True):
    """Who must approve the act of this name; institutions by name."""

    act: str
    rule: Rule
    institutions: tuple[str, ...]


class Genesis(Document, frozen=True):
    """Everything that all nodes of a chain agree on before its first block.

    `version` is that of the protocol which the first block follows; `parameters` holds only what differs from
    their first values; `treasury` is the institution that issues.
    """

    version: int
    chain: str
    chain_class: str
    time_ms: int
    institutions: tuple[GenesisInstitution, ...]
    nodes: tuple[GenesisNode, ...]
    policies: tuple[GenesisPolicy, ...]
    parameters: tuple[tuple[str, Value], ...]
    treasury: str


def default_policies(version: int = FIRST) -> tuple[GenesisPolicy, ...]:
    """The policies of a network of mof, sbp, pvara, secp and fmu."""
    known = default_policies_at(version)
    return tuple(GenesisPolicy(act, *known[act]) for act in rules(version).governed)


def genesis_hash(genesis: Genesis) -> bytes:
    """The identity of the chain, 32 bytes."""
    return tagged_hash(GENESIS, encode(builtins(genesis)))


def problems(genesis: Genesis) -> list[str]:
    """Everything that is wrong with `genesis`, each as one sentence that begins with the field's name."""
    if not FIRST <= genesis.version <= newest():
        return [f"version: {genesis.version}: this software knows versions {FIRST} to {newest()}"]
    found = [
        *_chain_problems(genesis),
        *_institution_problems(genesis),
        *_node_problems(genesis),
        *_key_problems(genesis),
        *_policy_problems(genesis),
        *_parameter_problems(genesis),
    ]
    return found or list(_strength_problems(genesis))


def create_state(genesis: Genesis) -> State:
    """The state before the first block, hashed. Raises ValueError listing the problems if there are any."""
    wrong = problems(genesis)
    if wrong:
        raise ValueError("\n".join(wrong))
    state = State.empty(genesis.version)
    decided = dict(genesis.parameters)
    for name, bounds in rules(genesis.version).bounds.items():
        state.parameters.append(Parameter(name, decided.get(name, bounds.first)))
    indices = {institution.name: index for index, institution in enumerate(genesis.institutions)}
    for institution in genesis.institutions:
        _enrol(state, institution, genesis.time_ms)
    for node in genesis.nodes:
        enrol(state, node.public_key, Role.NODE, len(state.nodes), height=0)
        role = NodeRole[node.role.upper()]
        state.nodes.append(
            Node(node.name, indices[node.institution], node.public_key, node.power, role, 0, 0, ())
        )
    for policy in genesis.policies:
        named = tuple(sorted(indices[name] for name in policy.institutions))
        state.policies.append(Policy(policy.act, policy.rule, named))
    issuer = indices[genesis.treasury]
    treasury = open_institution_account(state, issuer)
    state.institutions.replace(issuer, replace(state.institutions[issuer], treasury=treasury))
    state.chain.append(
        ChainRecord(
            name=genesis.chain,
            development=genesis.chain_class == DEVELOPMENT,
            genesis_ms=genesis.time_ms,
            treasury_institution=issuer,
            clock_offset_ms=0,
            market_frozen=False,
            genesis_hash=genesis_hash(genesis),
        )
    )
    state.versions.append(Version(genesis.version, 1, VersionStatus.IN_FORCE, 0))
    state.rehash()
    return state


def _enrol(state: State, institution: GenesisInstitution, time_ms: int) -> None:
    index = len(state.institutions)
    officers = tuple(
        enrol(state, key, Role.OFFICER, index, 0, number) for number, key in enumerate(institution.officers)
    )
    state.institutions.append(
        Institution(
            name=institution.name,
            title=institution.title,
            voting=institution.voting,
            threshold=institution.threshold,
            officers=officers,
            treasury=NONE,
            ca_roots=(CaRoot(institution.ca_root, time_ms, 0),),
        )
    )


def _chain_problems(genesis: Genesis) -> Iterable[str]:
    if not NAME.fullmatch(genesis.chain):
        yield f"chain: '{genesis.chain}' does not match {NAME.pattern}"
    if genesis.chain_class not in CLASSES:
        yield f"chain_class: '{genesis.chain_class}' is neither {DEVELOPMENT} nor {PRODUCTION}"
    if not 0 < genesis.time_ms <= TIME_MS_MAX:
        yield f"time_ms: {genesis.time_ms} is not from 1 to {TIME_MS_MAX}"
    if genesis.treasury not in _institution_names(genesis):
        yield f"treasury: '{genesis.treasury}' is not an institution"


def _institution_problems(genesis: Genesis) -> Iterable[str]:
    if not 1 <= len(genesis.institutions) <= INSTITUTIONS_MAX:
        yield f"institutions: {len(genesis.institutions)}, must be 1 to {INSTITUTIONS_MAX}"
    for name in _twice(_institution_names(genesis)):
        yield f"institutions: '{name}' stands twice"
    if not any(institution.voting for institution in genesis.institutions):
        yield "institutions: none is marked voting, so the network could never be changed"
    for institution in genesis.institutions:
        where = f"institutions.{institution.name}"
        officers = len(institution.officers)
        if not NAME.fullmatch(institution.name):
            yield f"{where}.name: '{institution.name}' does not match {NAME.pattern}"
        if not 1 <= len(institution.title) <= TITLE_CHARACTERS_MAX:
            yield f"{where}.title: must have 1 to {TITLE_CHARACTERS_MAX} characters"
        odd = alphabet.fault(institution.title)
        if odd is not None:
            yield f"{where}.title: {odd}"
        if officers > OFFICERS_MAX:
            yield f"{where}.officers: {officers}, at most {OFFICERS_MAX}"
        if not THRESHOLD_MIN <= institution.threshold <= officers:
            yield (
                f"{where}.threshold: {institution.threshold} is not from {THRESHOLD_MIN}"
                f" to its {officers} officers"
            )
        if institution.threshold > THRESHOLD_MAX:
            yield f"{where}.threshold: {institution.threshold}, at most {THRESHOLD_MAX} sign one transaction"
        if not 1 <= len(institution.ca_root) <= CA_ROOT_BYTES_MAX:
            yield f"{where}.ca_root: {len(institution.ca_root)} bytes, must be 1 to {CA_ROOT_BYTES_MAX}"


def _node_problems(genesis: Genesis) -> Iterable[str]:
    if not 1 <= len(genesis.nodes) <= NODES_MAX:
        yield f"nodes: {len(genesis.nodes)}, must be 1 to {NODES_MAX}"
    for name in _twice([node.name for node in genesis.nodes]):
        yield f"nodes: '{name}' stands twice"
    if not any(node.power > 0 for node in genesis.nodes):
        yield "nodes: none has power, so no block could ever be decided"
    for node in genesis.nodes:
        where = f"nodes.{node.name}"
        if not NAME.fullmatch(node.name):
            yield f"{where}.name: '{node.name}' does not match {NAME.pattern}"
        if node.institution not in _institution_names(genesis):
            yield f"{where}.institution: '{node.institution}' is not an institution"
        if node.role not in ROLES:
            yield f"{where}.role: '{node.role}' is neither {VALIDATOR} nor {OBSERVER}"
        if not 0 <= node.power <= POWER_MAX:
            yield f"{where}.power: {node.power} is not from 0 to {POWER_MAX}"
        if node.role == VALIDATOR and node.power == 0:
            yield f"{where}.power: a validator has power of at least 1"
        if node.role == OBSERVER and node.power != 0:
            yield f"{where}.power: {node.power}, an observer has none"


def _key_problems(genesis: Genesis) -> Iterable[str]:
    """A key is enrolled once, ever: no officer is also another one, or a node."""
    owners = [
        (f"institutions.{institution.name}.officers[{number}]", key)
        for institution in genesis.institutions
        for number, key in enumerate(institution.officers)
    ] + [(f"nodes.{node.name}.public_key", node.public_key) for node in genesis.nodes]
    seen: dict[bytes, str] = {}
    for where, key in owners:
        odd = enrolment_fault(key)
        if odd is not None:
            yield f"{where}: {odd.rule}"
        if key in seen:
            yield f"{where}: the key is already that of {seen[key]}"
        seen.setdefault(key, where)


def _policy_problems(genesis: Genesis) -> Iterable[str]:
    acts = [policy.act for policy in genesis.policies]
    for act in _twice(acts):
        yield f"policies: '{act}' stands twice"
    governed = rules(genesis.version).governed
    for act in governed:
        if act not in acts:
            yield f"policies: '{act}' has none"
    for policy in genesis.policies:
        where = f"policies.{policy.act}"
        named = len(policy.institutions)
        if policy.act not in governed:
            yield f"{where}: there is no such act"
        for name in policy.institutions:
            if name not in _institution_names(genesis):
                yield f"{where}.institutions: '{name}' is not an institution"
        for name in _twice(policy.institutions):
            yield f"{where}.institutions: '{name}' stands twice"
        match policy.rule:
            case Rule.ALL_OF | Rule.ANY_ONE_OF:
                if named < 1:
                    yield f"{where}.institutions: names none"
            case Rule.TWO_DIFFERENT_OF:
                if named < 2:
                    yield f"{where}.institutions: names {named}, the rule needs two"
            case Rule.TWO_THIRDS_VOTING:
                if named:
                    yield f"{where}.institutions: the rule counts the voting institutions and names none"
            case Rule.PROPOSER:
                if named:
                    yield f"{where}.institutions: the rule counts the one that proposes and names none"


def _parameter_problems(genesis: Genesis) -> Iterable[str]:
    for name in _twice([name for name, _ in genesis.parameters]):
        yield f"parameters: '{name}' stands twice"
    for name, value in genesis.parameters:
        bounds = rules(genesis.version).bounds.get(name)
        if bounds is None:
            yield f"parameters.{name}: there is no such parameter"
            continue
        refused = bounds.refusal(value)
        if refused is not None:
            said = words_of(refused)
            yield f"parameters.{name}: {said.value}: {said.rule}"


def _strength_problems(genesis: Genesis) -> Iterable[str]:
    """The first validators survive what the parameters ask for, or the genesis asks for less."""
    bounds, decided = rules(genesis.version).bounds, dict(genesis.parameters)
    given = strength((node.institution, node.power) for node in genesis.nodes)
    for field, parameter in LEAST.items():
        least, has = decided.get(parameter, bounds[parameter].first), getattr(given, field)
        if isinstance(least, int) and has < least:
            yield (
                f"parameters.{parameter}: {least}, but {field} of these nodes is {has}:"
                " add validators, spread the power, or ask for less"
            )


def _institution_names(genesis: Genesis) -> list[str]:
    return [institution.name for institution in genesis.institutions]


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
