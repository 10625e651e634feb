"""The papers for people do not lie: commands parse, methods, codes, settings and tables are the code's."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from api.objects import fields
from api.reads import READS
from cli.main import app
from cli.output import Exit
from config.settings import GatewaySettings, NodeSettings
from gateway import jsonrpc
from gateway.metrics import Metrics
from gateway.server import EXIT_CANNOT_LISTEN
from ledger import rights
from ledger.codes import Code
from ledger.kinds import BY_NAME
from ledger.parameters import bounds_at
from node.app import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{name}.md" for name in ("operating", "integrating")),
)
OPERATING = (ROOT / "docs/operating.md").read_text()
INTEGRATING = (ROOT / "docs/integrating.md").read_text()
Table = list[list[str]]


def table(page: str, name: str) -> Table:
    """The cells of the table after the comment `<!-- table: name -->`, without its head."""
    marker = f"<!-- table: {name} -->"
    assert page.count(marker) == 1, f"one table must be marked {name}"
    found = []
    for line in page.partition(marker)[2].strip().splitlines():
        if not line.startswith("|"):
            break
        found.append(
            [cell.strip().strip("`") for cell in line.removeprefix("|").removesuffix("|").split("|")]
        )
    return found[2:]


# --- commands -------------------------------------------------------------------------------------------


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `mohur ...` that a page shows, in a block or between backticks, with its page."""
    for page in PAGES:
        text = (ROOT / page).read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line.startswith("    "):
                shown = re.match(r"\s+(?:\$ )?(?:\.venv/bin/)?mohur (.+)", line)
                lines = [shown[1].split(" && ")[0].split("  #")[0]] if shown else []
            else:
                lines = re.findall(r"`mohur ([^`]+)`", line)
            for words in lines:
                yield page, words


def parse(words: list[str]) -> None:
    """Fail unless every subcommand and every option in `words` exists, and no argument is too many."""
    command: Any = typer.main.get_command(app)
    words = [word for word in words if word != "..."]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        choices = name.split("|")  # `node init|run`
        for choice in choices:
            assert choice in command.commands, f"{command.name} has no command {choice}"
        command = command.commands[choices[0]]
    options = {o: p for p in command.params for o in getattr(p, "opts", ()) if o.startswith("-")}
    arguments = 0
    while words:
        word = words.pop(0)
        if word.startswith("-") and not word.lstrip("-").isdigit():
            name, equals, _ = word.partition("=")
            assert name in options or name == "--help", f"mohur {command.name} has no option {name}"
            if not equals and name in options and not options[name].is_flag and words:
                words.pop(0)
        else:
            arguments += 1
    takes = sum(1 for parameter in command.params if parameter.param_type_name == "argument")
    assert arguments <= takes, f"mohur {command.name} takes {takes} arguments"


@pytest.mark.parametrize(("page", "words"), list(command_lines()))
def test_every_command_shown_exists(page: str, words: str) -> None:
    parse(shlex.split(words))


def test_many_commands_are_shown() -> None:
    """The search above finds what there is to find."""
    assert len(list(command_lines())) > 30


@pytest.mark.parametrize("words", ["query nothing_get 1", "node init --flor 3", "keys show a.pem b.pem"])
def test_a_command_that_does_not_exist_is_noticed(words: str) -> None:
    with pytest.raises(AssertionError):
        parse(words.split())


def test_every_group_of_commands_is_named_by_the_operator_or_the_integrator() -> None:
    group: Any = typer.main.get_command(app)
    for name in group.commands:
        assert f"mohur {name}" in OPERATING + INTEGRATING, name


# --- methods --------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """The text under each method's heading."""
    text = INTEGRATING.partition("\n## 7. Methods")[2].partition("\n## 8.")[0]
    parts = re.split(r"^### `(\w+)`$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_methods_are_those_of_the_gateway() -> None:
    assert list(sections()) == list(READS)


@pytest.mark.parametrize("method", list(READS))
def test_a_method_is_documented_as_it_is(method: str) -> None:
    query, reply = READS[method].query, READS[method].reply
    text = sections()[method]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    assert [row[1].strip(" `") for row in rows] == [name for name, _, _ in fields(query)]
    assert [row[3].strip() == "required" for row in rows] == [needed for _, _, needed in fields(query)]
    result = re.search(r"^Result: (.+?)\.$", text, re.MULTILINE | re.DOTALL)
    assert result is not None
    assert re.findall(r"`(\w+)`", result[1]) == [name for name, _, _ in fields(reply)]


@pytest.mark.parametrize("method", list(READS))
def test_a_methods_example_is_of_its_schema(method: str) -> None:
    query, reply = READS[method].query, READS[method].reply
    blocks = re.findall(r"(?:^    .*\n)+", sections()[method], re.MULTILINE)
    request, answer = (json.loads(block) for block in blocks)
    assert request["method"] == method
    assert set(request["params"]) <= {name for name, _, _ in fields(query)}
    assert list(answer["result"]) == [name for name, _, _ in fields(reply)]


# --- tables ---------------------------------------------------------------------------------------------


def test_result_codes() -> None:
    assert [(row[0], row[1]) for row in table(INTEGRATING, "codes")] == [(str(int(c)), c.word) for c in Code]


def test_error_codes_of_the_gateway() -> None:
    rows = dict(re.findall(r"^\| (-\d+) \| `(\w+)` \|", INTEGRATING, re.MULTILINE))
    names = (
        *("PARSE_ERROR", "INVALID_REQUEST", "METHOD_NOT_FOUND", "INVALID_PARAMS", "INTERNAL_ERROR"),
        *("NODE_UNAVAILABLE", "NODE_BUSY", "NODE_TIMEOUT", "GATEWAY_BUSY", "TOO_LARGE"),
    )
    assert rows == {str(getattr(jsonrpc, name)): name.lower() for name in names}


def test_rights() -> None:
    def categories(right: rights.Right) -> str:
        return "any" if right.categories == rights.CATEGORIES else ", ".join(right.categories)

    assert table(INTEGRATING, "rights") == [
        [
            act,
            ", ".join(stage.name for stage in right.stages),
            categories(right),
            "yes" if right.service else "no",
        ]
        for act, right in rights.RIGHTS.items()
    ]


def test_kinds_and_their_payloads() -> None:
    documented = {row[0]: row[2] for name in ("kinds", "officer kinds") for row in table(INTEGRATING, name)}
    assert set(documented) == set(BY_NAME)
    for name, payload in documented.items():
        for field in BY_NAME[name].payload.__struct_fields__:
            assert field in re.findall(r"\w+", payload), f"{name}.{field}"


def test_parameters() -> None:
    rows = table(OPERATING, "parameters")
    assert [row[0] for row in rows] == list(bounds_at(1))
    for name, default, least, most, meaning in rows:
        bounds, value = bounds_at(1)[name], bounds_at(1)[name].first
        assert default == (", ".join(value) if isinstance(value, tuple) else str(value)), name
        assert (least, most) == tuple(
            "" if b is None else str(b) for b in (bounds.minimum, bounds.maximum)
        ), name
        assert meaning.startswith(bounds.meaning), name


def test_exit_codes() -> None:
    assert {(int(row[0]), row[1]) for row in table(OPERATING, "exit codes")} == {
        (int(code), code.name.lower()) for code in Exit
    }
    documented = {(int(row[0]), row[1]) for row in table(OPERATING, "node exit codes")}
    shared = {code for code in ExitCode if int(code) in list(map(int, Exit))}
    assert documented == {(int(code), code.name.lower()) for code in ExitCode if code not in shared}
    assert all(Exit(int(code)).name == code.name for code in shared)
    assert int(ExitCode.ADDRESS) == EXIT_CANNOT_LISTEN


def settings_keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a model with its default, as `limits.page`."""
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is None:
            yield prefix + name, "required" if field.is_required() else field.default
            continue
        if get_origin(field.annotation) is not None:
            yield prefix + name, field.default
        yield from settings_keys(inner, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple):
        return next((found for a in get_args(annotation) if (found := _section(a)) is not None), None)
    return None


@pytest.mark.parametrize(("name", "model"), [("node.toml", NodeSettings), ("gateway.toml", GatewaySettings)])
def test_settings(name: str, model: type[BaseModel]) -> None:
    rows = {row[0]: row for row in table(OPERATING, name)}
    keys = dict(settings_keys(model))
    assert list(rows) == list(keys)
    for key, default in keys.items():
        said = str(default).lower() if isinstance(default, bool) else str(default)
        assert rows[key][1] == ("none" if default in (None, ()) else said), key


@pytest.mark.parametrize(("name", "model"), [("node.toml", NodeSettings), ("gateway.toml", GatewaySettings)])
def test_limits_of_settings(name: str, model: type[BaseModel]) -> None:
    limits = _section(model.model_fields["limits"].annotation)
    assert limits is not None
    for row in table(OPERATING, name):
        if row[0].startswith("limits."):
            bounds = limits.model_fields[row[0].removeprefix("limits.")].metadata
            least = next(bound.ge for bound in bounds if hasattr(bound, "ge"))
            most = next(bound.le for bound in bounds if hasattr(bound, "le"))
            assert row[2] == f"{least}..{most}", row[0]


def test_metrics() -> None:
    metrics = Metrics()
    metrics.called("chain_status", 0)
    metrics.answered(1, 0.1)
    metrics.refused("busy")
    families = text_string_to_metric_families(metrics.exposition(None).decode())
    names = {
        f.name + ("_total" if f.type == "counter" else "")
        for f in families
        if not f.name.endswith("_created")
    }
    assert {row[0] for row in table(OPERATING, "metrics")} == names


# --- examples -------------------------------------------------------------------------------------------


def test_python_shown_compiles() -> None:
    for path in sorted((ROOT / "docs/examples").glob("*.py")):
        ast.parse(path.read_text(), str(path))
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", INTEGRATING, re.MULTILINE)
    python = [block for block in blocks if "import " in block]
    assert python
    for block in python:
        ast.parse("if True:\n" + block)


def test_files_that_pages_point_to_exist() -> None:
    for page in PAGES:
        path = ROOT / page
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{page} points to {target}"


def test_each_decision_has_a_number_of_its_own_and_says_it() -> None:
    """Two branches that take the same number would leave "decision 18" with two meanings."""
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [path.name[:4] for path in files]
    assert numbers == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [path.read_text().split()[1] for path in files] == numbers
