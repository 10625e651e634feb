"""The Trio runtime of a validator or observer: peers, mempool, execution, sync, local socket."""
