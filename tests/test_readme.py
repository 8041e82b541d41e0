"""What the README prints works as printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from dev_env import write_environment
from stack import Stack

README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def home(make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Path:
    """A folder with `.tandem/dev.env`, as `scripts/run` leaves it, of a fresh Tandem."""
    stack = make_stack(make_database("sqlite"))
    (stack.home / ".tandem").mkdir()
    write_environment(stack).rename(stack.home / ".tandem" / "dev.env")
    return stack.home


def run(command: list[str], home: Path) -> str:
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_lines(home: Path) -> None:
    output = run(["sh", "-euc", block("sh")], home)
    order = json.loads(output[output.rindex('{"id":"ord_') :])
    assert (order["status"], order["erp_document"], order["total"]) == ("SHIPPED", "SO-1", "15.30")


def test_the_python_lines(home: Path) -> None:
    (home / "example.py").write_text(block("python"))
    sourced = f"set -a; . .tandem/dev.env; exec {sys.executable} example.py"
    assert run(["sh", "-euc", sourced], home) == "536367 25.50\n"
