"""JSON-RPC, health and metrics over HTTP: a process of its own, without any key."""
