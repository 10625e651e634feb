"""The life of a treasury bill on a running network: a module a chapter, every act through JSON-RPC.

Figures are those of FACTS: an 84-day bill at 9.3784 % sells at 97.8873 per 100 (SBP auction, March 2013).
Each chapter checks what it did against balances that it computes by itself, and raises DevnetError if the
network says otherwise.
"""

from collections.abc import Awaitable, Callable

from devnet.scenario import (
    admission,
    crash,
    distribution,
    institutions,
    issue,
    maturity,
    money,
    trading,
)
from devnet.scenario.story import Story

CHAPTERS: tuple[tuple[str, Callable[[Story], Awaitable[str]]], ...] = (
    ("genesis", institutions.play),
    ("admission", admission.play),
    ("programme", money.play),
    ("issue", issue.play),
    ("distribution", distribution.play),
    ("trading", trading.play),
    ("crash", crash.play),
    ("maturity", maturity.play),
)
