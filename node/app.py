"""One node as a process: settings in, exit code out. Opens everything, recovers, runs, stops cleanly.

Exit codes are stable (docs/operating.md): 0 stopped as asked; 3 a file of the operator is wrong; from 10 on
the node stopped by itself and its last line of log says why and what to do.
"""

import ctypes
import fcntl
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import structlog
import trio

from config.errors import ConfigError
from config.genesis_file import load_genesis
from config.keys import KeyFileError, load_key, read_passphrase
from config.logs import configure_logging
from config.pki import CertificateError, client_context, server_context
from config.roots_file import LaterRoots, load_roots
from config.settings import NodeSettings, split_address
from ledger.genesis import Genesis, genesis_hash
from ledger.release import UnknownVersion
from node.chain import Chain, OtherChain, StateDivergence
from node.local import serve_local
from node.membership import Roots
from node.peers import TlsTransport
from node.runtime import Node
from node.signer import KeyInMemory, Signer
from node.view import Archive
from primitives.signatures import self_test
from storage.blocks import BlockStore
from storage.errors import SignerUninitialised, StorageCorrupt, StorageError, StorageFull
from storage.index import MovementIndex
from storage.signer import SignerStore
from storage.state import StateStore
from storage.wal import WriteAheadLog

STOP_S = 4.0  # from a signal to the end, checkpoint included
THREADS = 6  # for disk and signer; none of them holds the interpreter for long

log = structlog.get_logger("node")

T = TypeVar("T")


MALLOPT_ARENAS = -8  # M_ARENA_MAX of <malloc.h>


class ExitCode(IntEnum):
    """How a node's process ends."""

    OK = 0
    CONFIG = 3  # genesis, settings, key or certificate
    STORAGE_CORRUPT = 10  # stored bytes are not those that were written
    STORAGE_FULL = 11  # no room on the disk; make room and start again
    STORAGE_FAILED = 12  # the disk or the system refused
    DIVERGED = 13  # a decided block contradicts our own state; a dump lies in the data directory
    SIGNER = 14  # the signer has no floor height: `mohur node init`
    VERIFIER = 15  # the signature verifier is not ZIP-215
    ADDRESS = 16  # an address, socket or data directory is in use or cannot be used
    UPGRADE = 17  # the next block follows a version of the protocol that this software does not know


class _Stopped(Exception):
    """The node cannot start or go on."""

    def __init__(self, code: ExitCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def run_node(settings: NodeSettings) -> int:
    """Run a node until SIGTERM or SIGINT; its exit code."""
    allocate_from_one_heap()
    configure_logging(settings.log, node=settings.name)
    try:
        with ExitStack() as stack:
            try:
                trio.run(_run, settings, stack)
            except BaseExceptionGroup as group:
                raise _leading(group) from group
    except _Stopped as error:
        return _ended(error.code, str(error))
    except (ConfigError, KeyFileError, CertificateError) as error:
        return _ended(ExitCode.CONFIG, str(error))
    except OtherChain as error:
        return _ended(ExitCode.CONFIG, f"{settings.genesis}: {error}")
    except UnknownVersion as error:
        return _ended(ExitCode.UPGRADE, str(error))
    except StateDivergence as error:
        dump = _dump(settings.data_dir, error)
        return _ended(ExitCode.DIVERGED, f"{error}; forensic dump in {dump}")
    except StorageCorrupt as error:
        return _ended(ExitCode.STORAGE_CORRUPT, str(error))
    except StorageFull as error:
        return _ended(ExitCode.STORAGE_FULL, str(error))
    except SignerUninitialised as error:
        return _ended(ExitCode.SIGNER, f"{error}: mohur node init --floor HEIGHT")
    except StorageError as error:
        return _ended(ExitCode.STORAGE_FAILED, str(error))
    except OSError as error:
        return _ended(
            ExitCode.ADDRESS, f"{error}: this node listens on {settings.listen} and {settings.socket}"
        )
    log.info("stopped")
    return int(ExitCode.OK)


async def _run(settings: NodeSettings, stack: ExitStack) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        fault = self_test()
        if fault is not None:
            raise _Stopped(ExitCode.VERIFIER, fault)
        genesis = load_genesis(settings.genesis)
        limiter = trio.CapacityLimiter(THREADS)
        _lock(settings.data_dir, stack)

        async def run_sync(call: Callable[..., T], *args: Any) -> T:
            return await trio.to_thread.run_sync(call, *args, limiter=limiter)

        blocks = _opened(stack, BlockStore(settings.blocks_dir))
        index = _opened(stack, MovementIndex(settings.index_dir, genesis_hash(genesis)))
        states = _opened(stack, StateStore(settings.state_dir))
        wal = _opened(stack, WriteAheadLog(settings.wal_dir))
        passphrase = read_passphrase(settings.passphrase_file, os.environ)
        signer = _signer(settings, genesis, passphrase, stack)
        later = None if settings.roots is None else load_roots(settings.roots, genesis)
        started = time.monotonic()
        chain = await run_sync(Chain.open, genesis, blocks, states)
        log.info(
            "chain opened",
            height=chain.height,
            checkpoint=chain.saved_height,
            seconds=round(time.monotonic() - started, 3),
            genesis_hash=chain.published.genesis_hash.hex(),
        )
        _check_key(settings, signer, chain)
        roots = _roots(chain, later)
        node = Node(
            name=settings.name,
            version=version("mohur"),
            chain=chain,
            archive=Archive(blocks, index),
            wal=wal,
            signer=signer,
            transport=_transport(settings, genesis, roots, passphrase),
            roots=roots,
            dials=[peer.name for peer in settings.peers if settings.key is None or settings.name < peer.name],
            now_ms=lambda: time.time_ns() // 1_000_000,
            run_sync=run_sync,
            jitter=random.Random(),
            mempool_transactions=settings.limits.mempool_transactions,
            mempool_bytes=settings.limits.mempool_bytes,
            checkpoint_blocks=settings.limits.checkpoint_blocks,
            connections_max=settings.limits.connections,
        )
        upgrade: ExceptionGroup[UnknownVersion] | None = None
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(serve_local, settings.socket, node, settings.limits.local_connections)
                await nursery.start(node.run)
                log.info("node runs", listen=settings.listen, socket=str(settings.socket))
                async for number in signals:
                    log.info("stopping", signal=signal.Signals(number).name)
                    break
                nursery.cancel_scope.cancel()
        except* UnknownVersion as stopped:
            upgrade = stopped
        with trio.CancelScope(shield=True), trio.move_on_after(STOP_S):
            await run_sync(chain.checkpoint)
        if upgrade is not None:
            raise upgrade


def allocate_from_one_heap() -> bool:
    """Whether the C library was told to give all threads one heap: glibc's mallopt(3), M_ARENA_MAX.

    A heap for each worker thread keeps what blocks of a moment ago needed: 15 to 25 MB of a validator.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have no such thing, and no need
    return mallopt is not None and mallopt(MALLOPT_ARENAS, 1) == 1


def _lock(folder: Path, stack: ExitStack) -> None:
    """One process at a time: two on one data directory would both write its chain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context((folder / "lock").open("ab"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _Stopped(ExitCode.ADDRESS, f"{folder}: another process runs on this data directory") from None


def _opened(stack: ExitStack, store: T) -> T:
    stack.callback(store.close)  # type: ignore[attr-defined]
    return store


def _signer(settings: NodeSettings, genesis: Genesis, passphrase: bytes, stack: ExitStack) -> Signer | None:
    """The validator's signer, or None for an observer."""
    if settings.key is None:
        return None
    store = _opened(stack, SignerStore(settings.signer_dir))
    if store.floor() is None:
        raise SignerUninitialised
    return Signer(KeyInMemory(load_key(settings.key, passphrase)), store, genesis_hash(genesis))


def _check_key(settings: NodeSettings, signer: Signer | None, chain: Chain) -> None:
    """Refuse a key that is not the node's on the ledger: it would never vote, and never say why. A node that
    has yet to catch up with the block that gave it the key is believed."""
    known = chain.published.node(settings.name)
    if signer is None or chain.height < settings.key_from_height:
        return
    if known is not None and known.public_key != signer.public_key:
        raise ConfigError(
            [
                f"{settings.key}: is not the key that the chain of {settings.genesis} has for node "
                f"{settings.name!r}: another key, or the genesis of another network"
            ]
        )


def _roots(chain: Chain, later: LaterRoots | None) -> Callable[[], Roots]:
    """The roots that count now: those of our state, and until that reaches its height the file's too."""

    def now() -> Roots:
        published = chain.published
        if later is None or published.height >= later.height:
            return published.roots
        return {name: (*ders, *later.roots.get(name, ())) for name, ders in published.roots.items()}

    return now


def _transport(
    settings: NodeSettings, genesis: Genesis, roots: Callable[[], Roots], passphrase: bytes
) -> TlsTransport:
    first = [institution.ca_root for institution in genesis.institutions]  # the transport adds the later ones
    return TlsTransport(
        listen=split_address(settings.listen),
        addresses={peer.name: split_address(peer.address) for peer in settings.peers},
        server=server_context(settings.certificate, settings.certificate_key, passphrase, first),
        client=client_context(settings.certificate, settings.certificate_key, passphrase, first),
        roots=roots,
        chain=genesis.chain,
    )


def _leading(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that decides how the process ends: the first of ours, else the first of all."""
    found = list(_leaves(group))
    ours = [
        e
        for e in found
        if isinstance(e, StateDivergence | StorageError | UnknownVersion | _Stopped | OSError)
    ]
    return (ours or found)[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _dump(folder: Path, error: StateDivergence) -> Path:
    """Write what an engineer needs to find out why our state differs."""
    path = folder / f"divergence-{error.height}.json"
    text = json.dumps({"height": error.height, "fault": error.fault, **error.dump}, indent=2)
    path.write_text(text, encoding="utf-8")
    return path


def _ended(code: ExitCode, reason: str) -> int:
    log.error("the node stops", reason=reason, exit_code=int(code), name=code.name.lower())
    return int(code)
