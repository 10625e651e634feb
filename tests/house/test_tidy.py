"""The rules of the house that no linter states: read every module and name what breaks them."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

HOUSE = Path(__file__).parents[2]
LAYERS = (
    *("cli", "devnet", "gateway", "client", "node", "storage", "config", "api", "wire"),
    *("consensus", "ledger", "primitives", "testing", "bench"),
)
PURE = ("consensus", "ledger", "primitives")
LINES_MAX = 800
FUNCTION_LINES_MAX = 70
HOMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base"}
# Spelt in two halves, so that this file may speak of them.
UNFINISHED = [
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X",
    "pragma: no " + "cover",
    "pytest." + "skip",
    "x" + "fail",
]
UNFINISHED += ["Not" + "ImplementedError", "mark." + "skip", "pytest.import" + "orskip"]
IMPURE = {"time", "random", "secrets", "os", "io", "socket", "threading", "asyncio", "pathlib", "uuid"}
IMPURE |= {"trio", "lmdb", "structlog", "subprocess", "locale", "platform"}
BY_UNICODE_TABLES = {
    *("casefold", "capitalize", "swapcase", "title", "isalpha", "isalnum", "isdecimal", "isdigit"),
    *("isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper"),
}
FLOATING = {"float", "float16", "float32", "float64", "longdouble", "double", "complex"}
FLOATING |= {"true_divide", "divide", "mean", "average", "std", "var", "linspace", "nextafter"}

Rule = Callable[[ast.AST], str | None]


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((HOUSE / folder).rglob("*.py"))]


def faults(paths: list[Path], rule: Rule) -> list[str]:
    """Every place where `rule` has something to say about a node of the syntax tree."""
    return [
        f"{path.relative_to(HOUSE)}:{getattr(node, 'lineno', 1)}: {fault}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if (fault := rule(node)) is not None
    ]


def test_the_layers_are_there() -> None:
    assert [layer for layer in LAYERS if not modules(layer)] == []


@pytest.mark.parametrize("folder", [*LAYERS, "tests"])
def test_the_first_line_of_every_module_says_what_it_is_for(folder: str) -> None:
    silent = []
    for path in modules(folder):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        if len(said.partition("\n")[0]) < 20 and not (path.name == "__init__.py" and not path.read_text()):
            silent.append(str(path.relative_to(HOUSE)))
    assert silent == []


def test_every_layer_says_what_it_is() -> None:
    openings = {layer: ast.parse((HOUSE / layer / "__init__.py").read_text()) for layer in LAYERS}
    assert [layer for layer, tree in openings.items() if not ast.get_docstring(tree)] == []


def test_no_module_is_named_for_having_no_home() -> None:
    found = modules(*LAYERS, "tests")
    assert [path for path in found if {path.stem, path.parent.stem} & HOMELESS] == []


def test_no_module_is_longer_than_a_person_reads() -> None:
    lengths = {
        str(path.relative_to(HOUSE)): len(path.read_text().splitlines()) for path in modules(*LAYERS, "tests")
    }
    assert {path: length for path, length in lengths.items() if length > LINES_MAX} == {}


def test_a_function_fits_on_a_page() -> None:
    lengths = {
        f"{path.relative_to(HOUSE)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in modules(*LAYERS)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_nothing_is_left_unfinished_or_switched_off() -> None:
    left = [
        f"{path.relative_to(HOUSE)}:{number}: {mark}"
        for path in modules(*LAYERS, "tests")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        for mark in UNFINISHED
        if mark in line
    ]
    assert left == []


def test_the_pure_layers_hold_no_float() -> None:
    def rule(node: ast.AST) -> str | None:
        match node:
            case ast.Constant(value=float() | complex()):
                return f"the literal {node.value!r}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                return "true division"
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in FLOATING:
                return f"`{name}`"
            case ast.keyword(arg="weights"):
                return "numpy's weighted bincount adds in floats"
        return None

    assert faults(modules(*PURE), rule) == []


def test_the_pure_layers_say_nothing_that_a_runtime_decides() -> None:
    """`repr`, kinds of characters and classes of patterns follow the interpreter's Unicode tables."""

    def rule(node: ast.AST) -> str | None:
        match node:
            case ast.FormattedValue(conversion=114 | 97):
                return "formats a repr"
            case ast.Call(func=ast.Name(id="repr" | "ascii" as name)):
                return f"calls {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in BY_UNICODE_TABLES:
                return f"calls .{name}()"
            case ast.Import(names=names) if {alias.name for alias in names} & {"unicodedata", "locale"}:
                return "imports tables of the interpreter"
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=str(text)), *_]
            ):
                return f"the pattern {text}" if re.search(r"\\[dwsbDWSB]", text) else None
            case ast.Call(func=ast.Name(id="Refused"), args=arguments):
                made = [part for argument in arguments for part in ast.walk(argument)]
                if any(isinstance(part, ast.JoinedStr) for part in made):
                    return "a refusal quotes a text that was put together"
        return None

    assert faults(modules(*PURE), rule) == []


def test_the_pure_layers_see_no_world() -> None:
    def rule(node: ast.AST) -> str | None:
        match node:
            case ast.Import(names=names):
                imported = {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module)):
                imported = {module.partition(".")[0]}
            case ast.Call(func=ast.Name(id="open" | "input" | "print" | "hash" | "id" as name)):
                return f"calls {name}()"
            case ast.Call(func=ast.Attribute(attr="now" | "today" | "utcnow" as name)):
                return f"reads the clock through {name}()"
            case _:
                return None
        return f"imports {', '.join(sorted(imported & IMPURE))}" if imported & IMPURE else None

    assert faults(modules(*PURE), rule) == []


def test_the_cores_never_iterate_over_a_set() -> None:
    """Its order is not part of any value: two validators could walk it differently."""

    def is_set(node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.Call(func=ast.Name(id="list" | "tuple" | "enumerate" | "iter"), args=[inner, *_]):
                return is_set(inner)
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), left=left, right=right):
                return is_set(left) or is_set(right)
        return False

    def rule(node: ast.AST) -> str | None:
        match node:
            case ast.For(iter=source) | ast.comprehension(iter=source) if is_set(source):
                return f"iterates over {ast.unparse(source)}"
            case ast.Call(func=ast.Name(id="list" | "tuple" | "enumerate"), args=[inner, *_]) if is_set(
                inner
            ):
                return f"orders {ast.unparse(inner)} by chance"
        return None

    assert faults(modules("consensus", "ledger"), rule) == []


def test_invariants_raise_even_under_optimisation() -> None:
    """`python -O` strips `assert`; ours must stay."""
    ours = [layer for layer in LAYERS if layer != "testing"]
    found = faults(modules(*ours), lambda node: "assert" if isinstance(node, ast.Assert) else None)
    assert found == []


def test_no_error_is_swallowed() -> None:
    def rule(node: ast.AST) -> str | None:
        match node:
            case ast.ExceptHandler(type=None):
                return "catches everything without a name"
            case ast.ExceptHandler(type=ast.Name(id="Exception" | "BaseException"), body=[ast.Pass()]):
                return "swallows every error"
            case ast.Call(
                func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"),
                args=[ast.Name(id="Exception" | "BaseException"), *_],
            ):
                return "suppresses every error"
        return None

    assert faults(modules(*LAYERS), rule) == []


def structs() -> Iterator[type[msgspec.Struct]]:
    """Every Struct whose bytes are protocol; what a gateway and its own node say is not."""
    for layer in ("primitives", "consensus", "ledger", "wire", "api"):
        package = importlib.import_module(layer)
        for found in pkgutil.walk_packages(package.__path__, f"{layer}."):
            if layer == "api" and found.name != "api.proofs":
                continue
            for value in vars(importlib.import_module(found.name)).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, msgspec.Struct)
                    and value.__module__ == found.name
                ):
                    yield value


def test_every_record_between_nodes_or_in_state_has_one_encoding() -> None:
    """An array with a default may be cut short, and one that takes unknown fields may be lengthened."""
    loose = [
        f"{struct.__module__}.{struct.__name__}"
        for struct in structs()
        if struct.__struct_config__.array_like
        and (struct.__struct_defaults__ or not struct.__struct_config__.forbid_unknown_fields)
    ]
    assert loose == []


def test_balances_locked_amounts_and_supplies_are_written_in_one_module_alone() -> None:
    """There each write is a posting; anywhere else it would move something that nobody could see."""
    moving = {"balance", "locked", "supply"}
    writers = {"set_field", "set_column", "add_at", "subtract_at"}

    def rule(node: ast.AST) -> str | None:
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=given) if name in writers:
                named = {each.value for each in given if isinstance(each, ast.Constant)} & moving
                return f"{name}() of {', '.join(sorted(named))}" if named else None
            case ast.Call(func=ast.Name(id="replace") | ast.Attribute(attr="replace"), keywords=given):
                named = {each.arg or "" for each in given} & moving
                return f"replace() of {', '.join(sorted(named))}" if named else None
        return None

    paths = [path for path in modules(*LAYERS) if path.relative_to(HOUSE) != Path("ledger/balances.py")]
    assert faults([path for path in paths if path.parts[-2] != "testing"], rule) == []


def test_the_limits_of_a_package_stand_in_one_table() -> None:
    """Who asks what bounds a thing looks in one place; only limits computed from others stand elsewhere."""

    def names_a_limit(node: ast.stmt) -> bool:
        return (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id.endswith(("_MAX", "_MIN", "_CAP"))
            and not any(isinstance(part, (ast.Name, ast.Call)) for part in ast.walk(node.value))
        )

    strays = [
        f"{path.relative_to(HOUSE)}:{node.lineno}"
        for path in modules(*LAYERS)
        if path.name != "limits.py"
        for node in ast.parse(path.read_text()).body
        if names_a_limit(node)
    ]
    assert strays == []


def test_every_limit_bounds_something() -> None:
    """A limit in the table that no code reads promises what nothing keeps."""
    code = "".join(path.read_text() for path in modules(*LAYERS) if path.name != "limits.py")
    idle = [
        f"{path.relative_to(HOUSE)}: {target.id}"
        for path in modules(*LAYERS)
        if path.name == "limits.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and len(re.findall(rf"\b{target.id}\b", code)) < 2
    ]
    assert idle == []


# Read by no other code, and why that is right; everything else that only tests read is dead.
READ_ELSEWHERE = {
    "devnet/processes.py: stop_node": "devnet torments its network as tests ask",
    "devnet/processes.py: stop_gateway": "the same",
    "devnet/processes.py: kill_gateway": "the same",
    "devnet/processes.py: signal_node": "the same",
    "devnet/processes.py: node_pid": "the same",
    "devnet/processes.py: gateway_pid": "the same",
    "devnet/processes.py: include": "a node joins a running network as tests ask",
    "wire/frames.py: waiting_bytes": "a bound can be seen from outside",
    "wire/frames.py: held_bytes": "the same",
    "ledger/release.py: learn": "a version that exists for tests alone is declared by them",
    "primitives/hashing.py: HELLO": "docs/protocol.md reserves the tag",
    "config/settings.py: settings_customise_sources": "pydantic calls it",
}
# What calls a definition that has one of these above it is its framework.
PLAIN_DECORATORS = {"property", "staticmethod", "classmethod", "cached_property", "dataclass", "cache"}
PLAIN_DECORATORS |= {"contextmanager", "asynccontextmanager"}


def definitions(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """What a module or class defines by name; what a Protocol or a framework calls is left out."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = {
                    found.id
                    for decorator in node.decorator_list
                    for found in ast.walk(decorator)
                    if isinstance(found, ast.Name)
                }
                if not names - PLAIN_DECORATORS - {"True", "False"} and not node.name.startswith("__"):
                    yield node, node.name
                if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
                    yield from definitions([part for part in node.body if hasattr(part, "decorator_list")])
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("__"):
                yield node, name


def words_read(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module reads, with its line; a text that is a name may be read by `getattr`."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                yield name, node.lineno
            case ast.keyword(arg=str(name)) | ast.Constant(value=str(name)) if name.isidentifier():
                yield name, node.lineno


def test_nothing_is_kept_alive_by_tests_alone() -> None:
    trees = {path: ast.parse(path.read_text()) for path in modules(*LAYERS) if "testing" not in path.parts}
    read: dict[str, list[tuple[Path, int]]] = {}
    for path, tree in trees.items():
        for name, line in words_read(tree):
            read.setdefault(name, []).append((path, line))
    dead = {
        f"{path.relative_to(HOUSE)}: {name}"
        for path, tree in trees.items()
        for node, name in definitions(tree.body)
        if all(
            path == where and node.lineno <= line <= (node.end_lineno or 0)
            for where, line in read.get(name, [])
        )
    }
    assert dead ^ {*READ_ELSEWHERE} == set()


# One name for two classes, and why it is right.
SHARED_NAMES = {
    "Archive": "the port, and the node's own",
    "View": "the port, and the node's own",
    "Changes": "the port of the state, and the storage's own",
    "Proposal": "of a block, and of an act: two cores that know nothing of each other",
    "Node": "the runtime, and its record in the registry",
    "Signer": "what signs votes, and the row of an enrolled key",
    "Vasp": "the record, and the one that the scenario plays",
}


def test_a_name_means_one_thing() -> None:
    homes: dict[str, set[str]] = {}
    for path in modules(*(layer for layer in LAYERS if layer not in ("testing", "bench"))):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and "kinds" not in path.parts:
                homes.setdefault(node.name, set()).add(str(path.relative_to(HOUSE)))
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in SHARED_NAMES} == {}
    assert {*SHARED_NAMES} - {*twice} == set()


def test_no_alias_is_called_as_a_class_elsewhere() -> None:
    """`Height` alone is both: the height under way, and its number where messages are declared."""
    classes: dict[str, set[Path]] = {}
    aliases: dict[str, set[Path]] = {}
    for path in modules(*(layer for layer in LAYERS if layer not in ("testing", "bench"))):
        for node in ast.parse(path.read_text()).body:
            match node:
                case ast.ClassDef(name=name):
                    classes.setdefault(name, set()).add(path)
                case ast.Assign(targets=[ast.Name(id=name)]) if re.match(r"[A-Z]\w*[a-z]", name):
                    aliases.setdefault(name, set()).add(path)
    assert {name for name in classes.keys() & aliases.keys() if aliases[name] - classes[name]} == {"Height"}


def test_a_limit_has_one_value() -> None:
    values: dict[str, set[str]] = {}
    for path in modules(*LAYERS):
        if path.name == "limits.py":
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign):
                    values.setdefault(ast.unparse(node.targets[0]), set()).add(ast.unparse(node.value))
    assert {name: found for name, found in values.items() if len(found) > 1} == {}


def test_no_two_modules_that_mean_different_things_share_these_names() -> None:
    for name in ("genesis", "queries", "sync", "execution", "ports", "network"):
        found = [str(path.relative_to(HOUSE)) for path in modules(*LAYERS) if path.stem == name]
        assert len(found) <= 1, found


def test_what_a_function_says_of_itself_names_its_subject() -> None:
    """A newcomer reads the docstring alone: a question says what True means, a deed what it does."""
    stumbling = []
    for path in modules(*LAYERS):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
                continue
            said = ast.get_docstring(node) or "Nothing"
            returns = "" if node.returns is None else ast.unparse(node.returns)
            first = re.match(r"[A-Za-z'-]*", said.lstrip("`"))
            word = first[0] if first else ""
            if (
                not word[:1].isupper()
                or word == "None"
                or (returns == "None" and word in ("A", "An", "The", "One", "Every", "What", "Who", "It"))
                or (returns == "bool" and not re.match(r"Whether|True|Returns|Nothing|Wait", said))
            ):
                stumbling.append(f"{path.relative_to(HOUSE)}:{node.lineno}: {node.name}: {said[:60]}")
    assert stumbling == []


def test_production_knows_the_versions_that_it_declares_and_no_switch_adds_one() -> None:
    """`release.learn` is for the version of the tests: no module of production calls it."""
    production = [layer for layer in LAYERS if layer not in ("testing", "bench")]
    calling = [
        str(path.relative_to(HOUSE))
        for path in modules(*production)
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "learn")
        or (isinstance(node, ast.ImportFrom) and "learn" in [name.name for name in node.names])
    ]
    assert calling == []


def test_every_part_of_the_test_kit_is_named_in_its_readme() -> None:
    said = (HOUSE / "testing" / "README.md").read_text()
    parts = [path.stem for path in modules("testing") if path.stem not in ("__init__", "limits")]
    assert [part for part in parts if f"testing.{part}`" not in said] == []
