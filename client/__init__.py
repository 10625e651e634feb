"""The client library: JSON-RPC, wallets, building transactions, offline proof verification."""
