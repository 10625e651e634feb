"""Each package that is imported is ours, from whatever folder Python is started."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_every_dependency_is_pinned_and_locked_by_hash() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    lock = (HOUSE / "requirements.lock").read_text()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [line for line in wanted if f"\n{line} \\\n    --hash=sha256:" not in lock] == []
