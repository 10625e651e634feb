"""The pure state machine of the ledger: transactions in, results and state changes out."""
