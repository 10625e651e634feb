"""Who acts on a local network: officers in pairs, VASPs and self-custody clients, over JSON-RPC alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api.reads.transactions import TransactionResult
from client.errors import CallRefused
from client.rpc import AsyncClient
from client.transactions import Signed, meant, payload
from client.wallet import Wallet
from config.keys import load_key
from devnet.network import DevnetError, Network
from ledger.documents import ProposalStatus

REASON = 1  # the reason code that these officers give


class Actors:
    """The officers of a network and the VASPs that join it, each with a wallet."""

    def __init__(self, network: Network, client: AsyncClient) -> None:
        self.network = network
        self.client = client
        self.genesis_hash = bytes.fromhex(network.genesis_hash)
        self._passphrase = network.passphrase()
        self._wallets: dict[str, Wallet] = {}
        self.latest: bytes | None = None  # the id of the last transaction that had its effect

    async def officer(self, institution: str, number: int) -> Wallet:
        """The wallet of an institution's officer, counted from 0."""
        return await self._wallet(self.network.officers[institution][number])

    def new_wallet(self, name: str) -> Wallet:
        """A new key in a keystore of the network, not enrolled yet."""
        path = self.network.new_keystore(name)
        wallet = Wallet(load_key(path, self._passphrase), self.genesis_hash)
        self._wallets[str(path)] = wallet
        return wallet

    async def propose(self, institution: str, kind: str, /, **fields: Any) -> int:
        """An officer proposes an act; the proposal's index."""
        result = await self.perform(await self.officer(institution, 0), kind, **fields)
        return result.created[0]

    async def approve(self, proposal: int, institution: str, number: int) -> TransactionResult:
        """One officer's signature under a proposal."""
        return await self.answer(await self.officer(institution, number), "approve", proposal, REASON)

    async def answer(self, wallet: Wallet, kind: str, proposal: int, reason: int) -> TransactionResult:
        """Approve, reject or withdraw a proposal, after reading it."""
        read = await self.client.proposal_get(proposal)
        return await self.perform(wallet, kind, **meant(read), reason=reason)

    async def enact(self, institutions: Sequence[str], kind: str, **fields: Any) -> tuple[int, ...]:
        """An act proposed by the first institution and approved by two officers of each; what it created.

        Raises DevnetError if the proposal is not EXECUTED at the end.
        """
        proposal = await self.propose(institutions[0], kind, **fields)
        await self.approve(proposal, institutions[0], 1)
        for institution in institutions[1:]:
            await self.approve(proposal, institution, 0)
            await self.approve(proposal, institution, 1)
        reply = await self.client.proposal_get(proposal)
        if reply.status is not ProposalStatus.EXECUTED:
            raise DevnetError(f"{kind}: proposal {proposal} is {reply.status.name}: {reply.rule}")
        return reply.created

    async def perform(self, wallet: Wallet, kind: str, **fields: Any) -> TransactionResult:
        """A direct act of one key, carried to its result."""
        if not wallet.aligned:
            await self.client.align(wallet)
        signed = wallet.build(kind, **fields)
        result = await self.client.send(signed, wallet)
        self.latest = signed.id
        return result

    def sign(self, wallet: Wallet, kind: str, *, sequence: int | None = None, **fields: Any) -> Signed:
        """A transaction ready to be sent."""
        return wallet.sign(kind, payload(kind, **fields), sequence=sequence)

    async def refusal(self, wallet: Wallet, kind: str, **fields: Any) -> CallRefused:
        """The refusal that this act meets. Raises DevnetError if it is accepted."""
        try:
            await self.client.perform(wallet, kind, **fields)
        except CallRefused as refused:
            return refused
        raise DevnetError(f"{kind}: was accepted, should have been refused")

    async def submit_refusal(self, raw: bytes, chain: bytes | None = None) -> CallRefused:
        """The refusal that these bytes meet on submission. Raises DevnetError if they are accepted."""
        try:
            await self.client.submit(raw, self.genesis_hash if chain is None else chain)
        except CallRefused as refused:
            return refused
        raise DevnetError("a transaction was accepted that should have been refused")

    async def _wallet(self, path: str) -> Wallet:
        if path not in self._wallets:
            key = load_key(Path(path), self._passphrase)
            self._wallets[path] = await self.client.align(Wallet(key, self.genesis_hash))
        return self._wallets[path]
