"""What both cores stand on: strict msgpack, tagged hashes, Merkle trees, Ed25519 under ZIP-215."""
