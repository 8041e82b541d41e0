"""`docker-compose.yml` is accepted, asks for its password, knows our settings and confines our processes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT

from .composed import PROCESSES, compose, instructions, services, settings_of

processes = pytest.mark.parametrize("service", PROCESSES)


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return services("observe")


def test_it_is_refused_without_the_password() -> None:
    done = compose()
    assert done.returncode != 0
    assert "TANDEM_MYSQL_PASSWORD is missing a value: see README" in done.stderr


def test_the_password_is_all_it_asks_for() -> None:
    assert compose(TANDEM_MYSQL_PASSWORD="secret").returncode == 0


def test_the_profile_is_what_brings_the_observers() -> None:
    assert set(services()) == {"mysql", *PROCESSES}


@processes
def test_every_setting_in_it_is_known(composed: dict[str, Any], service: str) -> None:
    given = {name for name in composed[service]["environment"] if name.startswith("TANDEM_")}
    assert given
    assert given <= set(settings_of(PROCESSES[service]))


def test_every_variable_that_it_takes_is_documented() -> None:
    text, page = (ROOT / "docker-compose.yml").read_text(), (ROOT / "server/README.md").read_text()
    taken = {*re.findall(r"\$\{?(\w+)", text), *re.findall(r"^ +([A-Z_]+):$", text, re.MULTILINE)}
    assert {"TANDEM_MYSQL_PASSWORD", "TANDEM_MYSQL_OWNER_PASSWORD", "TANDEM_ROUTES"} <= taken
    assert {name for name in taken if f"`{name}`" not in page} == set()


def test_whoever_serves_does_not_know_the_owner_of_the_tables(composed: dict[str, Any]) -> None:
    assert "tandem_owner:owned@" in composed["migrate"]["environment"]["TANDEM_DATABASE_URL"]
    assert "tandem:served@" in composed["server"]["environment"]["TANDEM_DATABASE_URL"]
    assert "owned" not in str(composed["server"]) + str(composed["gateway"])


def test_it_is_reached_from_this_machine_alone(composed: dict[str, Any]) -> None:
    assert {port["host_ip"] for service in composed.values() for port in service.get("ports", [])} == {"127.0.0.1"}
    assert "ports" not in composed["mysql"]


@processes
def test_our_processes_are_confined(composed: dict[str, Any], service: str) -> None:
    running = composed[service]
    assert running["read_only"]
    assert running["cap_drop"] == ["ALL"]
    assert running["security_opt"] == ["no-new-privileges:true"]
    assert running["build"]["dockerfile"] == f"{PROCESSES[service]}/Dockerfile"
    assert dict(instructions(PROCESSES[service]))["USER"] == "65532:65532"


@pytest.mark.parametrize(("service", "waits"), [("server", "DRAIN"), ("gateway", "HTTP_GRACE")])
def test_a_stop_waits_for_the_drain(composed: dict[str, Any], service: str, waits: str) -> None:
    seconds = float(settings_of(service)[f"TANDEM_{waits}_SECONDS"])
    assert int(composed[service]["stop_grace_period"].removesuffix("s")) >= seconds + 2


def test_images_have_a_version(composed: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in composed.items() if "build" not in service}
    assert {name for name, image in images.items() if not re.search(r":v?\d+(\.\d+)+$", image)} == set()
