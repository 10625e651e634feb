"""Who takes part in the scenario: clients and VASPs, and what each should have."""

from dataclasses import dataclass, field

from client.wallet import Wallet


@dataclass(slots=True)
class Holder:
    """One client: account, the key that moves it, holdings, and what they should contain."""

    account: int
    wallet: Wallet
    self_custody: bool
    cash_holding: int = -1
    bill_holding: int = -1
    cash: int = 0
    units: int = 0


@dataclass(slots=True)
class Vasp:
    """One VASP with its clients; `money` is its client-money holding of cash."""

    name: str
    wallet: Wallet
    index: int = -1
    money: int = -1
    money_account: int = -1
    holders: list[Holder] = field(default_factory=list)

    @property
    def custodial(self) -> list[Holder]:
        return [holder for holder in self.holders if not holder.self_custody]

    @property
    def self_custody(self) -> list[Holder]:
        return [holder for holder in self.holders if holder.self_custody]
