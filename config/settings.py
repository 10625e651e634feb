"""Settings of a node and of a gateway: `node.toml` and `gateway.toml`, checked on load, plain values after.

Unknown keys are refused with the nearest known one, and every problem is listed at once. Paths are relative
to the folder of the file that names them. Nothing is read from the environment but the passphrase
(`config.keys.read_passphrase`), so that the file says what runs.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tomlkit
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from config.errors import ConfigError, describe, read_toml
from config.limits import PEERS_MAX, SOCKET_PATH_BYTES_MAX
from config.pki import name_fault

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

S = TypeVar("S", bound=BaseSettings)


def _name(text: str) -> str:
    fault = name_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def _address(text: str) -> str:
    split_address(text)
    return text


Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]


def split_address(text: str) -> tuple[str, int]:
    """Returns host and port of `host:port` (IPv6 hosts in brackets). Raises ValueError that says the rule."""
    host, separator, port_text = text.rpartition(":")
    if (
        not separator
        or not port_text.isascii()
        or not port_text.isdigit()
        or not 1 <= int(port_text) <= 65535
    ):
        raise ValueError("must be host:port with a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port_text)
    if not _HOST.fullmatch(host):
        raise ValueError("must be host:port; an IPv6 host stands in brackets")
    return host, int(port_text)


class Section(BaseModel):
    """A table of a settings file: strict, frozen, without surplus keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PeerSettings(Section):
    """Where another node listens. Who it is, its certificate proves and the ledger's registry confirms."""

    name: Name
    institution: Name
    address: Address


class LogSettings(Section):
    """`auto` writes for a reader on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class NodeLimits(Section):
    """What one node grants its peers and gateways. Limits that all nodes share are ledger parameters."""

    connections: int = Field(default=64, ge=1, le=1024)  # from peers
    local_connections: int = Field(default=16, ge=1, le=256)  # from gateways
    mempool_transactions: int = Field(default=50_000, ge=64, le=1_000_000)
    mempool_bytes: int = Field(default=256 * 2**20, ge=2**20, le=4 * 2**30)
    checkpoint_blocks: int = Field(default=50, ge=1, le=10_000)  # the most that recovery replays


class NodeSettings(BaseSettings):
    """`node.toml`: one validator or observer."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    name: Name
    institution: Name
    genesis: Path
    data_dir: Path
    listen: Address
    socket: Path
    certificate: Path
    certificate_key: Path
    key: Path | None = None  # the validator's signing key; an observer has none
    key_from_height: int = Field(
        default=0, ge=0
    )  # where node_update gave the node this key; 0: by the genesis
    roots: Path | None = None  # roots in force when a node joins a chain whose institutions changed theirs
    passphrase_file: Path | None = None  # opens both keys; else MOHUR_PASSPHRASE
    peers: Annotated[tuple[PeerSettings, ...], Field(max_length=PEERS_MAX)] = ()
    log: LogSettings = LogSettings()
    limits: NodeLimits = NodeLimits()

    @classmethod
    def settings_customise_sources(cls, *args: Any, **kwargs: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (kwargs["init_settings"],)

    @property
    def blocks_dir(self) -> Path:
        return self.data_dir / "blocks"

    @property
    def index_dir(self) -> Path:
        return self.data_dir / "index"

    @property
    def state_dir(self) -> Path:
        return self.data_dir / "state"

    @property
    def wal_dir(self) -> Path:
        return self.data_dir / "wal"

    @property
    def signer_dir(self) -> Path:
        return self.data_dir / "signer"


class GatewayLimits(Section):
    """What one gateway grants its callers."""

    body_bytes: int = Field(default=4 * 2**20, ge=2**10, le=64 * 2**20)  # of one HTTP request
    batch: int = Field(default=100, ge=1, le=10_000)  # calls in one JSON-RPC batch
    submit_many: int = Field(default=1_000, ge=1, le=10_000)  # transactions in one tx_submitMany
    page: int = Field(default=1_000, ge=1, le=10_000)  # records in one page of a list
    wait_s: int = Field(default=60, ge=1, le=600)  # the longest tx_wait
    requests: int = Field(default=256, ge=1, le=10_000)  # being answered at once
    waits: int = Field(default=256, ge=1, le=256)  # tx_wait under way, beside them
    connections: int = Field(default=1_024, ge=1, le=65_536)  # open at once
    address_percent: int = Field(default=25, ge=1, le=100)  # of connections and requests that one address has


class GatewaySettings(BaseSettings):
    """`gateway.toml`: one JSON-RPC gateway beside a node. It names no key, because it has none."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    listen: Address
    socket: Path  # of its node
    hosts: tuple[str, ...] = ()  # names by which it may be called, beside localhost and any IP address
    origins: tuple[str, ...] = ()  # web pages that may call it, as https://host[:port], beside its own
    raw_blocks: bool = False  # serve them (chain_raw): whose signatures an act has can be read from them
    log: LogSettings = LogSettings()
    limits: GatewayLimits = GatewayLimits()

    @classmethod
    def settings_customise_sources(cls, *args: Any, **kwargs: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (kwargs["init_settings"],)


def load_node_settings(path: Path) -> NodeSettings:
    """The settings in `path`, its paths made absolute. Raises ConfigError with every problem."""
    settings = _load(path, NodeSettings)
    problems = [
        f"{path}: peers[{position}].name: {peer.name!r}: is this node itself"
        for position, peer in enumerate(settings.peers)
        if peer.name == settings.name
    ]
    names = [peer.name for peer in settings.peers]
    problems += [
        f"{path}: peers[{position}].name: {name!r}: appears twice"
        for position, name in enumerate(names)
        if name in names[:position]
    ]
    problems += _socket_problems(path, settings.socket)
    if problems:
        raise ConfigError(problems)
    return settings


def load_gateway_settings(path: Path) -> GatewaySettings:
    """The settings in `path`, its paths made absolute. Raises ConfigError with every problem."""
    settings = _load(path, GatewaySettings)
    problems = _socket_problems(path, settings.socket)
    if problems:
        raise ConfigError(problems)
    return settings


def settings_to_toml(settings: BaseSettings, comment: str) -> str:
    """The text of a settings file that loads as `settings`; what equals its default is left out."""
    document = tomlkit.document()
    document.add(tomlkit.comment(comment))
    tables: dict[str, Any] = {}
    for key, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            tables[key] = value  # after the plain keys, as TOML wants it
        else:
            document.add(key, tomlkit.item(value))
    for key, value in tables.items():
        if isinstance(value, dict):
            document.add(key, tomlkit.item(value))
            continue
        array = tomlkit.aot()
        for row in value:
            array.append(tomlkit.item(row))
        document.add(key, array)
    return tomlkit.dumps(document)


def _load(path: Path, model: type[S]) -> S:
    read_toml(path)  # says what is wrong with a file that is missing or not TOML
    values = TomlConfigSettingsSource(model, toml_file=path)()
    try:
        settings = model(**values)
    except ValidationError as error:
        raise ConfigError(describe(path, model, error)) from error
    base = path.absolute().parent
    return settings.model_copy(
        update={name: base / value for name, value in settings if isinstance(value, Path)}
    )


def _socket_problems(path: Path, socket: Path) -> list[str]:
    size = len(str(socket).encode())
    if size <= SOCKET_PATH_BYTES_MAX:
        return []
    return [
        f"{path}: socket: {str(socket)!r}: is {size} bytes, at most {SOCKET_PATH_BYTES_MAX} (a rule of Unix)"
    ]
