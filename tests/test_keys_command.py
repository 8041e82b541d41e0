"""Keys by command, and what `scripts/run` writes into `dev.env`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from behind import connected
from dev_env import ADMIN, KEYS, read_environment, write_environment
from sqlalchemy import delete, update
from stack import Stack

from tandem_server.__main__ import main
from tandem_server.storage.tables import keys


@pytest.fixture(scope="module")
def own(make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    return make_stack(make_database("sqlite"), environment="test", key_cache_seconds="0.1")


class Done(NamedTuple):
    code: int | str | None
    out: str
    err: str


@pytest.fixture
def run(own: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command in this process: a new one would only cost time."""
    for name, value in own.environment.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["tandem-server", "keys", *arguments])
        try:
            main()
        except SystemExit as end:
            return Done(end.code, *capsys.readouterr())
        return Done(0, *capsys.readouterr())

    return command


def test_a_key_is_made_listed_and_revoked_by_command(run: Callable[..., Done]) -> None:
    asked = ("--name", "shop, 2026", "--role", "crm", "--role", "reports", "--source", "p1", "--days", "9")
    made = run("create", *asked)
    assert made.out.startswith("tdm_test_")
    key_id = f"key_{made.out.split('_')[2]}"
    assert key_id in made.err
    for state in ("live", "revoked"):
        (line,) = [line for line in run("list").out.splitlines() if line.startswith(key_id)]
        assert line.split() == [key_id, state, "crm,reports", "p1", "*", "never", "shop,", "2026"]
        assert run("revoke", key_id).code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "--name", "shop", "--role", "crm"], "source"),
        (["create", "--name", " shop", "--role", "reports"], "key.name"),
        (["create", "--name", "shop", "--role", "boss"], "--role"),
        (["create", "--name", "shop", "--role", "reports", "--days", "0"], "--days"),
        (["revoke", "42"], "id"),
        (["revoke", "key_01h455vb4pex5vsknk084sn02q"], "there is no key"),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(run: Callable[..., Done], arguments: list[str], told: str) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_dev_env_has_keys_that_work_and_keeps_those_that_do(own: Stack) -> None:
    names = {*KEYS, ADMIN}
    path = write_environment(own)
    assert path.stat().st_mode & 0o777 == 0o600
    first = read_environment(path)
    assert len({first[name] for name in names}) == len(names)
    assert read_environment(write_environment(own)) == first
    with connected(own.environment["TANDEM_DATABASE_URL"]) as connection:
        ended = keys.c.id == f"key_{first['TANDEM_ERP_KEY'].split('_')[2]}"
        connection.execute(update(keys).where(ended).values(revoked_at=keys.c.created_at))
    assert_changed(own, {"TANDEM_ERP_KEY"})
    with connected(own.environment["TANDEM_DATABASE_URL"]) as connection:
        connection.execute(delete(keys))
    assert_changed(own, names)


def assert_changed(stack: Stack, names: set[str]) -> None:
    """Write `dev.env` again, when the server has noticed: the keys with *names* are others, and no more."""
    time.sleep(0.2)
    before = read_environment(stack.home / "dev.env")
    after = read_environment(write_environment(stack))
    assert {name for name in before if before[name] != after[name]} == names
