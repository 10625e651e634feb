"""Each package that is imported is ours, from whatever folder Python is started."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from testing.pythons import VERSIONS

HOUSE = Path(__file__).parents[2]
PACKAGES = tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]


def test_every_package_is_ours_when_imported_from_another_folder(tmp_path: Path) -> None:
    """`config`, `node` and `client` are names that others use too."""
    script = (
        "import importlib, json, sys;"
        "print(json.dumps([importlib.import_module(name).__file__ for name in sys.argv[1:]]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *PACKAGES], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [
        str(HOUSE.joinpath(*name.split("."), "__init__.py")) for name in PACKAGES
    ]


def test_every_folder_with_code_is_a_listed_package() -> None:
    """setuptools would leave an unlisted one out of an installation."""
    found = {
        ".".join(path.parent.relative_to(HOUSE).parts)
        for layer in {name.partition(".")[0] for name in PACKAGES}
        for path in (HOUSE / layer).rglob("*.py")
    }
    assert found == set(PACKAGES)


def test_the_linters_look_at_every_layer() -> None:
    settings = tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]
    layers = {name for name in PACKAGES if "." not in name}
    assert set(settings["mypy"]["packages"]) == layers
    assert set(settings["importlinter"]["root_packages"]) == layers
    (house,) = [
        contract for contract in settings["importlinter"]["contracts"] if contract["type"] == "layers"
    ]
    assert {name.strip() for row in house["layers"] for name in row.split("|")} == layers


def test_only_pythons_that_replay_the_recorded_chain_install_a_release() -> None:
    low, high = VERSIONS[0], VERSIONS[-1]
    after = f"{high.split('.')[0]}.{int(high.split('.')[1]) + 1}"
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={low},<{after}"
    said = f"Python {', '.join(VERSIONS[:-1])} or {high}"
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "docs/operating.md"):
        assert said in (HOUSE / name).read_text(), name


def test_operators_are_told_every_package_that_decides_what_a_block_means() -> None:
    listed = (HOUSE / "pyproject.toml").read_text().split("# Consensus-critical", 1)[1].split("\n  #", 1)[0]
    critical = re.findall(r'"([\w-]+)==', listed)
    (told,) = re.findall(r"(\w+) packages decide bytes and verdicts: (.*?)\. ", _line("docs/operating.md"))
    assert sorted(re.findall(r"`([\w-]+)`", told[1])) == sorted(critical)
    assert told[0] == {3: "Three", 4: "Four", 5: "Five"}[len(critical)]


def _line(name: str) -> str:
    return " ".join((HOUSE / name).read_text().split())


def test_every_dependency_is_pinned_and_locked_by_hash() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    lock = (HOUSE / "requirements.lock").read_text()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [line for line in wanted if f"\n{line} \\\n    --hash=sha256:" not in lock] == []
