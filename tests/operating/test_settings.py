"""The operator's pages name the settings that there are, and no others; tests/test_readme.py asks the reverse."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from .composed import settings_of


@pytest.mark.parametrize("page", ["server/README.md", "gateway/README.md"])
def test_a_page_names_no_setting_that_nobody_reads(page: str) -> None:
    known = settings_of("server").keys() | settings_of("gateway").keys()
    composed = set(re.findall(r"[A-Z][A-Z_]+", (ROOT / "docker-compose.yml").read_text()))
    named = set(re.findall(r"`(TANDEM_[A-Z_]+)", (ROOT / page).read_text()))
    assert named
    assert named <= known | composed
