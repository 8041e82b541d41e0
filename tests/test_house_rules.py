"""The rules that no linter knows, held by looking at the code."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem_proto.catalogue import methods

ROOT = Path(__file__).parent.parent
MEMBERS = ["proto/tandem_proto", "server/tandem_server", "gateway/tandem_gateway", "clients/python/tandem_client"]
SOURCES = sorted(path for member in MEMBERS for path in (ROOT / member).rglob("*.py") if "versions" not in path.parts)
SCRIPTS = [path for path in sorted((ROOT / "scripts").rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CONTRACT = sorted((ROOT / "proto/tandem").rglob("*.proto"))
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions_of(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, Function))


def length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def callers_of(*names: str) -> set[str]:
    """Return the files of ours in which a method of one of *names* is called."""
    return {
        name_of(path)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
    }


@pytest.mark.parametrize("path", [*SOURCES, *SCRIPTS, *TESTS, *CONTRACT], ids=name_of)
def test_files_are_short_and_named_after_what_they_hold(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250
    assert path.stem not in SAY_NOTHING


@pytest.mark.parametrize("path", [*SOURCES, *TESTS, *(p for p in SCRIPTS if p.suffix == ".py")], ids=name_of)
def test_functions_are_short(path: Path) -> None:
    assert [f"{node.name}: {length(node)}" for node in functions_of(path) if length(node) > 40] == []


@pytest.mark.parametrize("member", MEMBERS)
def test_the_median_function_is_very_short(member: str) -> None:
    lengths = [length(node) for path in (ROOT / member).rglob("*.py") for node in functions_of(path)]
    assert statistics.median(lengths) <= 8


def test_only_the_database_commits() -> None:
    assert callers_of("commit") == {"server/tandem_server/storage/database.py"}
    assert callers_of("rollback") == {"server/tandem_server/storage/endings.py"}


def test_only_settings_read_the_environment() -> None:
    readers = {name_of(path) for path in SOURCES if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    assert readers <= {f"{member}/settings.py" for member in MEMBERS}


def test_only_guards_and_background_loops_catch_everything() -> None:
    catchers = {
        name_of(path)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    }
    assert catchers <= {
        "server/tandem_server/rpc/guards.py",
        "server/tandem_server/storage/reach.py",
        "server/tandem_server/usecases/dispatch.py",
        "server/tandem_server/usecases/housekeeping.py",
        "gateway/tandem_gateway/edge.py",
    }


def test_no_exception_is_its_own_cause() -> None:
    """Whoever follows causes to their end would never come to one."""
    offenders = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Raise) and node.exc and node.cause
        if ast.unparse(node.exc).partition(".")[0] == ast.unparse(node.cause)
    ]
    assert offenders == []


def test_nothing_is_yielded_inside_a_transaction() -> None:
    """Whoever has a transaction returns; only who has none may be a generator."""
    offenders = [
        f"{name_of(path)}: {node.name}"
        for path in SOURCES
        for node in functions_of(path)
        if any(argument.arg == "tx" for argument in node.args.args)
        and any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(node))
    ]
    assert offenders == []


def test_no_method_is_named_in_the_gateway() -> None:
    known = {method.name for method in methods()}
    gateway = [path for path in SOURCES if "tandem_gateway" in path.parts]
    texts = {node.value for path in gateway for node in ast.walk(tree_of(path)) if isinstance(node, ast.Constant)}
    assert texts & known == set()
