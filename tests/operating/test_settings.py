"""The settings' tables in the READMEs are what the processes list themselves, line by line."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from .composed import listed, settings_of


@pytest.mark.parametrize("member", ["server", "gateway"])
def test_a_page_has_the_settings_that_there_are(member: str) -> None:
    page = (ROOT / member / "README.md").read_text()
    table = re.search(r"^\| setting \| default \| meaning \|\n.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert table is not None
    rows = [re.split(r" *\| *", row.strip("| \n")) for row in table[1].splitlines()]
    told = [(name.strip("`"), default.strip("`"), meaning.replace("`", "")) for name, default, meaning in rows]
    assert told == listed(member)


@pytest.mark.parametrize("page", ["server/README.md", "gateway/README.md"])
def test_a_page_names_no_setting_that_nobody_reads(page: str) -> None:
    known = settings_of("server").keys() | settings_of("gateway").keys()
    composed = set(re.findall(r"[A-Z][A-Z_]+", (ROOT / "docker-compose.yml").read_text()))
    named = set(re.findall(r"`(TANDEM_[A-Z_]+)", (ROOT / page).read_text()))
    assert named
    assert named <= known | composed
