"""A VASP opens two clients' accounts and moves cash between them: one transfer, a batch, a safe resend.

Run it against a local network that `mohur devnet up --dir D` keeps up: `python docs/examples/transfer.py D`.
The officers' acts that a VASP waits for (registration, licence, cash) are sent here too, by the officers'
keystores of that network; on a real one the institutions send them.
"""

import hashlib
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from client.blocking import Client
from client.errors import TransactionRefused
from client.transactions import holding_rows, meant, transfer_rows
from client.wallet import Wallet
from config.keys import new_key
from ledger.rows import Role

CLIENT, CLIENT_MONEY = 0, 2  # account types: a client's custodial account, the clients' money held together
PAKISTAN = 586  # ISO 3166-1 numeric


def main(folder: Path) -> None:
    network = json.loads((folder / "devnet.json").read_text())
    passphrase = Path(network["passphrase_file"]).read_bytes().strip()
    genesis_hash = bytes.fromhex(network["genesis_hash"])  # from your own genesis: mohur genesis hash

    with Client(network["nodes"][0]["rpc"]) as client:
        officers = {
            name: [Wallet.from_keystore(Path(path), passphrase, genesis_hash) for path in paths]
            for name, paths in network["officers"].items()
        }

        def enact(institution: str, kind: str, **fields: Any) -> tuple[int, ...]:
            """Two officers of one institution: the first proposes, the second approves, which executes it."""
            maker, checker = officers[institution][:2]
            (proposal,) = client.perform(maker, kind, **fields).created
            client.perform(checker, "approve", **meant(client.proposal_get(proposal)), reason=0)
            return client.proposal_get(proposal).created

        # A key of your own, kept encrypted. Its public half goes to PVARA, which registers you with it.
        name = f"example-{secrets.token_hex(3)}"
        keystore = folder / "keystores" / f"{name}.pem"
        new_key(keystore, passphrase)
        wallet = Wallet.from_keystore(keystore, passphrase, genesis_hash)

        vasp, _ = enact(
            "pvara",
            "vasp_register",
            name=name,
            title="Example Exchange",
            settlement_key=wallet.public_key,
            proof=wallet.prove(Role.SETTLEMENT, name),
        )
        enact("pvara", "vasp_noc", vasp=vasp)
        enact("fmu", "vasp_goaml", vasp=vasp, reference=f"GOAML-{name}")
        enact("secp", "vasp_subsidiary", vasp=vasp, name=f"{name} Pakistan", number=name)
        client.perform(wallet, "licence_apply", categories=("exchange", "custody"))
        enact("pvara", "vasp_license", vasp=vasp, categories=("exchange", "custody"))
        print(f"vasp {vasp} {name} is {client.vasp_get(vasp).stage.name}")

        if not client.instrument_list().items:
            enact("sbp", "cash_define", currency="PKR")
        rupee = client.instrument_get("PKR").instrument

        # Three accounts: the money that your clients hold together, and two clients.
        rows = [
            {
                "type": kind,
                "kyc": salted_commitment(f"file {number}"),
                "kyc_until": int(time.time()) + 31_536_000,
                "jurisdiction": PAKISTAN,
                "investor_class": 1,
                "owner_key": b"",
                "proof": b"",
            }
            for number, kind in enumerate((CLIENT_MONEY, CLIENT, CLIENT))
        ]
        accounts = client.perform(wallet, "account_open", rows=rows).created
        holdings = client.perform(
            wallet, "holding_open", rows=holding_rows([(account, rupee) for account in accounts])
        ).created
        money, alice, bob = holdings
        debit = hashlib.sha256(f"RTGS debit for {name}".encode()).digest()
        enact("sbp", "cash_issue", holding=money, amount=100_000_00, debit=debit)

        # One batch credits both clients; amounts are paisa. Each row has its own result.
        paid = client.perform(
            wallet, "transfer_batch", rows=transfer_rows([(money, alice, 60_000_00), (money, bob, 40_000_00)])
        )
        print(f"batch in block {paid.block}: refused rows: {sum(1 for code in paid.rows if code)}")

        # One transfer. The bytes are signed once; whatever happens to the connection, send the same bytes.
        signed = wallet.build("transfer", from_holding=alice, to_holding=bob, amount=1_250_50)
        result = client.send(signed, wallet)
        print(f"transfer {signed.id.hex()} in block {result.block}, code {result.code}")
        again = client.submit(signed.raw)
        print(f"resent: duplicate {again.duplicate}, same result {again.result == result}")

        # A refusal names the code, the field, the value and the rule.
        try:
            client.perform(wallet, "transfer", from_holding=alice, to_holding=bob, amount=10**12)
        except TransactionRefused as refused:
            print(f"refused: {refused}")

        for label, holding in (("alice", alice), ("bob", bob)):
            print(f"{label}: PKR {client.holding_get(holding).balance / 100:,.2f}")


def salted_commitment(reference: str) -> bytes:
    """What the ledger may know of a KYC file: a hash that nobody can guess. Keep the salt with the file."""
    return hashlib.sha256(secrets.token_bytes(32) + reference.encode()).digest()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "devnet-data"))
