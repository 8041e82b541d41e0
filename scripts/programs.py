"""Programs that tests need and a machine may not have: Debian's packages, unpacked into a cache folder.

That needs no root and leaves the system alone. Where there is no Debian archive (amd64) there are none.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

Failure = SystemExit  # where nobody catches it, the script ends with its sentence and exit code 1
FETCH_SECONDS, LOCK_SECONDS = 600, 1200
# The system's own apt settings stay in force (proxies, logins), but not what they run on the system after an update.
APT_SETTINGS = """Dir::Etc::sourcelist "{0}/sources.list"; Dir::Etc::sourceparts "/dev/null"; APT::Default-Release "";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; APT::Sandbox::User "";
Dir::State "{0}"; Dir::State::status "{0}/status"; Dir::Cache "{0}"; Dir::Cache::archives "{0}/archives";
Dir::State::lists "{0}/lists"; Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update;
"""


class Packages(NamedTuple):
    """Packages of one suite (empty: the system's own), in a cache folder of this name."""

    name: str
    suite: str
    names: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where they, and whatever runs of them, are kept."""
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tandem", self.name).absolute()


MYSQL = Packages("mysql", "sid", ("mysql-server-core", "mysql-client-core"))
MARIADB = Packages("mariadb", "", ("mariadb-server-core",))
SQLITE = Packages("sqlite", "", ("sqlite3",))
OPERATING = Packages("operating", "sid", ("docker-compose", "promtool"))


def run(*command: str, seconds: float = 60, given: str = "", must: bool = True) -> str:
    """Return what a command printed; if it fails, nothing, or a Failure with its last words where it must work."""
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=seconds, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        if must:
            words = re.sub(r"\S+://\S+", "(address)", str(getattr(error, "stderr", "") or error)).splitlines()[-3:]
            raise Failure(f"{command[0]} failed: {' | '.join(words)}") from error
    return ""


def wait(done: Callable[[], bool], seconds: float) -> bool:
    """Return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (true := done()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return true


def lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Return whether a file's lock was free and is now ours; the kernel frees it with the last who has it open."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one who changes *folder*; raises a Failure where somebody else does for too long."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        if not wait(lambda: lock(file), LOCK_SECONDS):
            raise Failure(f"Somebody else has held {file.name} for {LOCK_SECONDS} s.")
        yield


def unpacked(packages: Packages) -> Path | None:
    """Return the tree of *packages* with all that they need, unpacked once; for whoever is alone in their folder."""
    root = packages.folder / "root"
    if root.exists() or (source := _source(packages.suite)) is None:
        return root if root.exists() else None
    print(f"unpacking {', '.join(packages.names)} into {root}", file=sys.stderr)
    work = packages.folder / "run/unpack"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name, text in {"sources.list": source, "apt.conf": APT_SETTINGS.format(work), "status": ""}.items():
        (work / name).write_text(text)
    apt = ("apt-get", "--config-file", str(work / "apt.conf"), "--yes", "--no-install-recommends")
    run(*apt, "--option", "APT::Update::Error-Mode=any", "update", seconds=FETCH_SECONDS)
    run(*apt, "--download-only", "install", *packages.names, seconds=FETCH_SECONDS)
    for package in (work / "archives").glob("*.deb"):
        run("dpkg", "-x", str(package), str(work / "tree"))
    (work / "tree").rename(root)
    shutil.rmtree(work)
    return root


def _source(suite: str) -> str | None:
    """Return apt's line for *suite* of the archive that this system installs from, if it is a Debian (amd64)."""
    known = run("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)dists/$(RELEASE)/$(COMPONENT)/", must=False)
    if not known:  # Before the first apt-get update only the addresses are known, not whose they are.
        known = run("apt-get", "--print-uris", "update", must=False).replace("'", "Debian ")
    repo = re.search(r"^Debian (\S+/)dists/([a-z]+)/main/", known, re.MULTILINE)
    if not repo or os.uname().machine != "x86_64":
        return None
    return f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {repo[1]} {suite or repo[2]} main\n"


def command(root: Path, program: str) -> tuple[str, ...]:
    """Return how to run a *program* of an unpacked tree, as in usr/bin/mysql.

    It runs on the tree's own C library, so the system's may be older.
    """
    loader = next((str(path) for path in root.glob("**/x86_64-linux-gnu/ld-linux-x86-64.so.2")), "")
    libraries = f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"
    return loader, "--library-path", libraries, f"{root}/{program}"
