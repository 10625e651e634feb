"""What is on disk: LMDB environments for blocks, state, the consensus write-ahead log and the signer."""
