"""Replays the recorded chain under every Python that is installed here, each under several hash seeds.

`python -m testing.pythons`, or `make replay`. Each Python gets an environment of its own under
`.venv-replay/`, with the packages that decide about bytes, pinned by hash in `requirements.lock`; a Python
that is not there is named in a line.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")
HASH_SEEDS = ("0", "1", "424242")
# What the ledger stands on, and what that needs itself.
PACKAGES = ("msgpack", "msgspec", "numpy", "py-ed25519-zebra-bindings", "cryptography", "cffi", "pycparser")
HOUSE = Path(__file__).parents[1]
ENVIRONMENTS = HOUSE / ".venv-replay"
PROBE_S = 20
INSTALL_S = 300
REPLAY_S = 120


def main() -> None:
    for version in VERSIONS:
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not installed here, not replayed")
            continue
        ready = environment(version, python)
        for seed in HASH_SEEDS:
            print(replayed(ready, seed))


def interpreter(version: str) -> str | None:
    """A Python of this version that runs: one on the PATH, or one that pyenv keeps."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in (shutil.which(name), *sorted(map(str, pyenv.glob(f"{version}.*/bin/{name}")))):
        if found is not None and _says(found) == version:
            return found
    return None


def environment(version: str, python: str) -> str:
    """The Python of an environment of that version with the packages installed, made if it is not there."""
    folder = ENVIRONMENTS / version
    wanted = locked((HOUSE / "requirements.lock").read_text())
    stamp, ready = folder / "requirements.txt", str(folder / "bin" / "python")
    if not stamp.exists() or stamp.read_text() != wanted:
        pip = ["-m", "pip", "--python", ready, "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [python, "-m", "venv", "--clear", "--without-pip", folder], check=True, timeout=INSTALL_S
        )
        (folder / "wanted.txt").write_text(wanted)
        subprocess.run(
            [sys.executable, *pip, "--require-hashes", "-r", folder / "wanted.txt"],
            check=True,
            timeout=INSTALL_S,
        )
        (folder / "wanted.txt").rename(stamp)
    return ready


def locked(lock: str) -> str:
    """The part of a lock file that is about PACKAGES, with its hashes."""
    kept, keep = [], False
    for line in lock.splitlines():
        if line and not line[0].isspace():
            keep = line.split("==")[0] in PACKAGES
        if keep and not line.lstrip().startswith("#"):
            kept.append(line)
    return "\n".join(kept) + "\n"


def replayed(python: str, seed: str) -> str:
    """What the replay says under this Python and hash seed. Exits with its sentence if it differs."""
    done = subprocess.run(
        [python, "-m", "testing.replay"],
        cwd=HOUSE,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=REPLAY_S,
    )
    if done.returncode != 0:
        sys.exit(f"hash seed {seed}: {done.stderr.strip()}")
    return f"{done.stdout.strip()}, hash seed {seed}"


def _says(python: str) -> str | None:
    """The version that a Python names itself; None if it does not run, as a shim of nothing."""
    try:
        asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PROBE_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
