"""The roots of institutions as they stand at a later height: `roots.toml`, for a node that joins then.

A new node begins with the roots of the genesis, and learns the later ones from the chain that it syncs; where
institutions have changed theirs, it could reach nobody to sync from. This file, written by `mohur node roots`
from what a gateway tells, lets it connect until its own chain has reached the file's height. It need not be
trusted further: blocks prove themselves, so a false root lets a stranger connect and tell nothing but what
verifies against the genesis.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tomlkit
from pydantic import Field, ValidationError

from config.errors import ConfigError, describe, read_toml
from config.pki import CertificateError, root_from_pem, root_to_pem
from config.settings import Name, Section
from ledger.genesis import Genesis, genesis_hash
from ledger.limits import CA_ROOTS_MAX, INSTITUTIONS_MAX


@dataclass(frozen=True, slots=True)
class LaterRoots:
    """Each institution's roots (DER) in force after block `height`."""

    height: int
    roots: Mapping[str, tuple[bytes, ...]]


class _Root(Section):
    institution: Name
    certificate: str


class _File(Section):
    genesis_hash: str
    height: int = Field(ge=0)
    roots: Annotated[tuple[_Root, ...], Field(max_length=INSTITUTIONS_MAX * CA_ROOTS_MAX)]


def load_roots(path: Path, genesis: Genesis) -> LaterRoots:
    """The roots in `path`. Raises ConfigError with every problem, also if they are of another chain."""
    values = read_toml(path)
    try:
        file = _File.model_validate(values, strict=False)
    except ValidationError as error:
        raise ConfigError(describe(path, _File, error)) from error
    problems = []
    if file.genesis_hash != genesis_hash(genesis).hex():
        problems.append(f"{path}: genesis_hash: {file.genesis_hash}: is not that of this genesis")
    known = {institution.name for institution in genesis.institutions}
    found: dict[str, tuple[bytes, ...]] = {}
    for number, root in enumerate(file.roots):
        if root.institution not in known:
            problems.append(f"{path}: roots[{number}].institution: {root.institution!r}: there is none")
        try:
            der = root_from_pem(root.certificate)
        except CertificateError as error:
            problems.append(f"{path}: roots[{number}].certificate: {error}")
            continue
        found[root.institution] = (*found.get(root.institution, ()), der)
    if problems:
        raise ConfigError(problems)
    return LaterRoots(file.height, found)


def roots_to_toml(genesis_hash: bytes, later: LaterRoots) -> str:
    """The text of a file that loads as `later`."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"Roots of nodes' certificates after block {later.height}, as a gateway told.")
    )
    document.add("genesis_hash", tomlkit.item(genesis_hash.hex()))
    document.add("height", tomlkit.item(later.height))
    array = tomlkit.aot()
    for institution, ders in later.roots.items():
        for der in ders:
            array.append(tomlkit.item({"institution": institution, "certificate": root_to_pem(der)}))
    document.add("roots", array)
    return tomlkit.dumps(document)
