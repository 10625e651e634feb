"""Fixtures of the node's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture
def ram_path() -> Iterator[Path]:
    """A folder in memory where the system has one: whole nodes write a lot, and storage has its own tests."""
    with tempfile.TemporaryDirectory(prefix="mohur-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)
