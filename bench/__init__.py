"""Benchmarks: each starts its own network, checks that the work was done, prints one JSON object."""
