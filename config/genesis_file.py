"""genesis.toml: what all institutions sign off before the first block, as a file that people can read.

`load_genesis` turns it into the `Genesis` that is hashed, or lists every problem at once, each with its file
and key. The hash is over the checked values, so comments and order of keys are free.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from config.errors import ConfigError, key_name, known_names, nearest, read_toml, rule_of, shown
from config.pki import CertificateError, root_from_pem, root_to_pem
from ledger.documents import Rule
from ledger.genesis import (
    Genesis,
    GenesisInstitution,
    GenesisNode,
    GenesisPolicy,
    problems,
)
from ledger.parameters import BOUNDS
from ledger.policies import default_policies_at
from ledger.release import FIRST
from ledger.versions import rules
from primitives.signatures import PUBLIC_KEY_BYTES

_KEY = re.compile(rf"[0-9a-f]{{{2 * PUBLIC_KEY_BYTES}}}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RULES: Mapping[str, Rule] = {rule.name.lower(): rule for rule in Rule}


def _public_key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError(f"must be {2 * PUBLIC_KEY_BYTES} lower-case hex digits")
    return text


def _moment(moment: datetime) -> datetime:
    if moment.tzinfo is None or moment.microsecond % 1000:
        raise ValueError("must be a time in whole milliseconds with its offset, such as 2026-01-01T00:00:00Z")
    return moment


PublicKey = Annotated[str, AfterValidator(_public_key)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _InstitutionFile(_Section):
    name: str
    title: str
    voting: bool
    threshold: int
    officers: list[PublicKey]
    ca_root: str


class _NodeFile(_Section):
    name: str
    institution: str
    public_key: PublicKey
    power: int
    role: Literal["validator", "observer"]


class _PolicyFile(_Section):
    rule: Literal["all_of", "any_one_of", "two_different_of", "two_thirds_voting", "proposer"]
    institutions: list[str] = []


class _GenesisFile(_Section):
    """The tables of genesis.toml."""

    version: int = FIRST
    chain: str
    chain_class: Annotated[Literal["development", "production"], Field(alias="class")]
    time: Annotated[datetime, AfterValidator(_moment)]
    treasury: str
    parameters: dict[str, int | str | list[str]] = {}
    institutions: list[_InstitutionFile]
    nodes: list[_NodeFile]
    policies: dict[str, _PolicyFile]


# What stands in for a value that is missing or wrong, so that the rest of the file is checked all the same.
# What is found about the row (or the key at the top) that holds a stand-in is not reported.
_STAND_INS: Mapping[str, Any] = {
    "chain": "unnamed",
    "class": "development",
    "time": _EPOCH + timedelta(days=1),
    "treasury": "unnamed",
    "title": "untitled",
    "voting": True,
    "threshold": 2,
    "officers": [],
    "ca_root": "",
    "institution": "unnamed",
    "public_key": "00" * PUBLIC_KEY_BYTES,
    "power": 1,
    "role": "validator",
    "rule": "all_of",
}
_KEYS_IN_FILE: Mapping[str, str] = {"chain_class": "class", "time_ms": "time"}


def load_genesis(path: Path) -> Genesis:
    """The genesis in `path`. Raises ConfigError with every problem: `file: key: value: rule`."""
    tables = read_toml(path)
    found: list[str] = []
    doubtful: set[str] = set()
    try:
        checked = _GenesisFile.model_validate(tables)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        found += [f"{path}: {key}: {text}" for key, text in (_described(tables, fault) for fault in faults)]
        rows = [_row(tables, fault["loc"]) for fault in faults]
        for row, fault in zip(rows, faults, strict=True):
            if not _mended(tables, fault["type"], fault["loc"]):
                doubtful.add("")
            elif fault["type"] != "extra_forbidden":
                doubtful.add(row)
        if "" in doubtful:
            raise ConfigError(found) from error
        try:
            checked = _GenesisFile.model_validate(tables)
        except ValidationError:
            raise ConfigError(found) from error
    genesis, bad_roots = _genesis(checked)
    for problem in [*bad_roots, *_shared_roots(genesis), *problems(genesis)]:
        key, _, text = problem.partition(": ")
        key = _KEYS_IN_FILE.get(key, key)
        table, _, name = key.partition(".")
        if f"{table}.{name.split('.')[0]}" in doubtful or key in doubtful:
            continue
        if key != "version":
            known = rules(genesis.version)
            if table == "parameters" and name not in known.bounds:
                text = f"unknown key{nearest(name, known.bounds)}"
            elif table == "policies" and name and name.split(".")[0] not in known.governed:
                text = f"unknown key{nearest(name.split('.')[0], known.governed)}"
        found.append(f"{path}: {key}: {text}")
    if found:
        raise ConfigError(found)
    return genesis


def genesis_to_toml(genesis: Genesis) -> str:
    """The text of a genesis.toml that loads as `genesis`."""
    document = tomlkit.document()
    document.add(tomlkit.comment("The genesis of a Mohur chain. Every institution checks it, and compares"))
    document.add(tomlkit.comment("the output of `mohur genesis hash`, before it starts its node."))
    document.add(tomlkit.nl())
    document.add("version", tomlkit.item(genesis.version))
    document.add("chain", tomlkit.item(genesis.chain))
    document.add("class", tomlkit.item(genesis.chain_class))
    document.add("time", tomlkit.item(_EPOCH + genesis.time_ms * _MILLISECOND))
    document.add("treasury", tomlkit.item(genesis.treasury))
    document.add(tomlkit.nl())
    parameters = tomlkit.table()
    parameters.comment("only what differs from the defaults")
    for name, value in genesis.parameters:
        parameters.add(name, list(value) if isinstance(value, tuple) else value)
    document.add("parameters", parameters)
    institutions = tomlkit.aot()
    for institution in genesis.institutions:
        officers = tomlkit.array().multiline(True)
        officers.extend(key.hex() for key in institution.officers)
        table = tomlkit.table()
        table.add("name", institution.name)
        table.add("title", institution.title)
        table.add("voting", institution.voting)
        table.add("threshold", institution.threshold)
        table.add("officers", officers)
        table.add("ca_root", tomlkit.string(root_to_pem(institution.ca_root), multiline=True))
        institutions.append(table)
    document.add("institutions", institutions)
    nodes = tomlkit.aot()
    for node in genesis.nodes:
        table = tomlkit.table()
        table.add("name", node.name)
        table.add("institution", node.institution)
        table.add("public_key", node.public_key.hex())
        table.add("power", node.power)
        table.add("role", node.role)
        nodes.append(table)
    document.add("nodes", nodes)
    policies = tomlkit.table(is_super_table=True)
    for policy in genesis.policies:
        table = tomlkit.table()
        table.add("rule", policy.rule.name.lower())
        if policy.institutions:
            table.add("institutions", list(policy.institutions))
        policies.add(policy.act, table)
    document.add("policies", policies)
    return tomlkit.dumps(document)


def _genesis(file: _GenesisFile) -> tuple[Genesis, list[str]]:
    """The values of the file in the order that is hashed, and what is wrong with the roots."""
    bad_roots = []
    institutions = []
    for institution in file.institutions:
        try:
            root = root_from_pem(institution.ca_root)
        except CertificateError as error:
            bad_roots.append(f"institutions.{institution.name}.ca_root: {error}")
            root = institution.name.encode()  # stands in: not empty, not another's
        institutions.append(
            GenesisInstitution(
                name=institution.name,
                title=institution.title,
                voting=institution.voting,
                threshold=institution.threshold,
                officers=tuple(bytes.fromhex(key) for key in institution.officers),
                ca_root=root,
            )
        )
    parameters = {
        name: tuple(value) if isinstance(value, list) else value for name, value in file.parameters.items()
    }
    genesis = Genesis(
        version=file.version,
        chain=file.chain,
        chain_class=file.chain_class,
        time_ms=(file.time - _EPOCH) // _MILLISECOND,
        institutions=tuple(institutions),
        nodes=tuple(
            GenesisNode(
                name=node.name,
                institution=node.institution,
                public_key=bytes.fromhex(node.public_key),
                power=node.power,
                role=node.role,
            )
            for node in file.nodes
        ),
        policies=tuple(
            GenesisPolicy(act, _RULES[file.policies[act].rule], tuple(file.policies[act].institutions))
            for act in _ordered(file.policies, default_policies_at(file.version))
        ),
        parameters=tuple((name, parameters[name]) for name in _ordered(parameters, BOUNDS)),
        treasury=file.treasury,
    )
    return genesis, bad_roots


def _ordered(names: Iterable[str], order: Iterable[str]) -> list[str]:
    """Returns `names` in the ledger's own order, so that the hash does not depend on the file's."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def _shared_roots(genesis: Genesis) -> Iterable[str]:
    """Two institutions under one root could each speak as the other."""
    owners: dict[bytes, str] = {}
    for institution in genesis.institutions:
        owner = owners.setdefault(institution.ca_root, institution.name)
        if owner != institution.name:
            yield f"institutions.{institution.name}.ca_root: is already the root of {owner}"


def _described(tables: Mapping[str, Any], fault: Any) -> tuple[str, str]:
    """The key of a fault that pydantic found, rows by their names, and what is wrong there."""
    location = fault["loc"]
    key = key_name(_by_name(tables, location))
    if fault["type"] == "extra_forbidden":
        return key, f"unknown key{nearest(str(location[-1]), known_names(_GenesisFile, location[:-1]))}"
    if fault["type"] == "missing":
        return key, "is required"
    return key, f"{shown(fault['input'])}: {rule_of(fault['type'], fault['msg'])}"


def _by_name(tables: Mapping[str, Any], location: Sequence[str | int]) -> list[str | int]:
    """Returns a key by name: `("nodes", 0, "power")` as `("nodes", "mof-1", "power")` where the row has a
    name."""
    if len(location) > 1 and location[0] in ("institutions", "nodes") and isinstance(location[1], int):
        row = tables[str(location[0])][location[1]]
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            return [location[0], row["name"], *location[2:]]
    return list(location)


def _row(tables: Mapping[str, Any], location: Sequence[str | int]) -> str:
    """The row, or the key at the top, whose stand-in makes its further problems doubtful."""
    return ".".join(str(part) for part in _by_name(tables, location)[:2])


def _mended(tables: dict[str, Any], kind: str, location: Sequence[str | int]) -> bool:
    """Take out an unknown key, or put a stand-in for a value; False if there is none for it."""
    place: Any = tables
    steps = list(location)
    while (
        len(steps) > 1
        and isinstance(place, dict | list)
        and not (isinstance(place, dict) and steps[0] in _STAND_INS)
    ):
        place = place[steps.pop(0)]  # type: ignore[index]
    if not isinstance(place, dict):
        return False
    key = str(steps[0])
    if kind == "extra_forbidden":
        place.pop(key, None)
    elif key == "name":
        place[key] = f"unnamed-{location[1]}"
    elif location[0] == "parameters":
        place.pop(key, None)
    elif key in _STAND_INS:
        place[key] = _STAND_INS[key]
    elif len(location) > 2 and location[0] == "policies" and key == "institutions":
        place[key] = []
    else:
        return False
    return True
