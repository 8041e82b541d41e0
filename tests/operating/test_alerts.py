"""The alerts and the dashboard of docker-compose.yml: Prometheus takes them, and what they speak of exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from addresses import free_address
from conftest import ROOT
from dev_env import write_environment
from prometheus_client.parser import text_string_to_metric_families
from stack import Stack

from .composed import run_tool

COMPOSED = ROOT / "server/compose"
COUNTED_SECONDS = 60
PAGE = (ROOT / "server/README.md").read_text()
ALERTS = (COMPOSED / "alerts.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((COMPOSED / "grafana/tandem.json").read_text())


@pytest.mark.parametrize(
    "asked",
    [
        ("check", "config", "server/compose/prometheus.yml"),
        ("check", "rules", "server/compose/alerts.yml"),
        ("test", "rules", "tests/operating/alerts.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_takes_them_and_they_alert(asked: tuple[str, ...]) -> None:
    done = run_tool("promtool", *asked)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_says_what_to_do_about_every_alert() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", ALERTS))
    assert alerts
    assert alerts == set(re.findall(r"^\| `(Tandem\w+)` \|", PAGE, re.MULTILINE))


def panels() -> Iterator[str]:
    """Yield what the dashboard asks, as Prometheus gets it."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m")


def test_prometheus_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": asked} for number, asked in enumerate(panels())]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = run_tool("promtool", "check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def metrics_of(query: str) -> set[str]:
    """Return the names in PromQL that are neither functions nor labels."""
    bare = re.sub(r"\{.*?\}|\[.*?\]|\b(by|without|on|ignoring) *\(.*?\)", " ", query, flags=re.DOTALL)
    return set(re.findall(r"\b[a-z]\w+\b(?! *\()", bare))


def test_names_are_found_in_queries() -> None:
    query = 'histogram_quantile(0.9, sum by (le, x) (rate(a_bucket{b="c"}[5m]))) / max by (y) (d_total) > 0.5'
    assert metrics_of(query) == {"a_bucket", "d_total"}


@pytest.fixture(scope="module")
def told(make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> list[str]:
    """What server and gateway tell Prometheus after the demo, and after the backlog was counted."""
    listen = free_address()
    stack = make_stack(make_database("sqlite"), metrics_listen=listen)
    write_environment(stack)
    environment = os.environ | {"TANDEM_HOME": str(stack.home)}
    subprocess.run([ROOT / "scripts/demo"], env=environment, capture_output=True, timeout=60, check=True)
    deadline = time.monotonic() + COUNTED_SECONDS
    while "tandem_oldest_claimable_age_seconds{" not in read(f"http://{listen}/metrics"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return [read(f"http://{listen}/metrics"), read(f"{stack.http}/metrics")]


def read(address: str) -> str:
    with urlopen(address, timeout=10) as reply:
        return str(reply.read().decode())


def test_whatever_alerts_and_dashboard_speak_of_exists_after_the_demo(told: list[str]) -> None:
    families = [family for text in told for family in text_string_to_metric_families(text)]
    existing = {sample.name for family in families for sample in family.samples}
    rules = re.findall(r"expr: (?:\|\n)?(.*?)\n *(?:for|labels):", ALERTS, re.DOTALL)
    spoken_of = {name for query in [*rules, *panels()] for name in metrics_of(query)}
    assert len(rules) == ALERTS.count("alert:")
    assert spoken_of - existing == {"up"}  # which Prometheus makes itself


def test_prometheus_takes_what_they_tell(told: list[str]) -> None:
    for text in told:
        done = run_tool("promtool", "check", "metrics", given=text)
        assert done.returncode == 0, done.stdout + done.stderr
