"""By which names a gateway is called, and by which web pages: a browser that a stranger steers is told no.

A page whose name is made to point at this machine (DNS rebinding) calls with that name as Host, and one of
another site names itself as Origin. An address in numbers cannot be rebound, so it is always a good Host.
"""

import ipaddress
from collections.abc import Collection, Mapping

LOCAL = "localhost"


class Origins:
    """The names and the pages that an operator allows, beside the gateway's own."""

    def __init__(self, hosts: Collection[str], origins: Collection[str]) -> None:
        self._hosts = {host.lower() for host in hosts} | {LOCAL}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Return why a request with these headers is not answered, or an empty text."""
        host = headers["host"].lower()
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if name not in self._hosts and not _is_address(name.strip("[]")):
            return "host: not a name of this gateway; its operator sets `hosts`"
        origin = headers.get("origin")
        if origin is None or self._allows(origin.lower(), host):
            return ""
        return "origin: not a page that may call this gateway; its operator sets `origins`"

    def allowed(self, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The headers that tell a browser so, for the page that a request names."""
        origin = headers.get("origin")
        if origin is None:
            return ()
        return (
            ("access-control-allow-origin", origin),
            ("access-control-allow-headers", "content-type"),
            ("vary", "origin"),
        )

    def _allows(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin in (f"http://{host}", f"https://{host}")


def is_json(content_type: str) -> bool:
    """Whether that is the type of JSON, whatever parameters it has."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
