"""The test kit: small chains, whole clusters, networks, clocks and disks that a test has in its hand.

`testing/README.md` says which to take and how; start with the smallest that shows what you mean.
"""
