"""Work in a process of its own, so that a load and what it is put on do not share an interpreter."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

import uvloop

P = ParamSpec("P")
R = TypeVar("R")

SECONDS = 180.0
"""How long any one piece of work may take."""
STARTING_SECONDS = 30.0

spawning = multiprocessing.get_context("spawn")


class WorkFailedError(RuntimeError):
    """What was to be measured failed, or took too long."""


def apart(work: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run *work* in a fresh process and return what it returns; raises WorkFailedError."""
    here, there = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_run, args=(there, work, args, kwargs), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(SECONDS + STARTING_SECONDS):
            raise WorkFailedError(f"{work.__name__} has not ended after {SECONDS} s")
        done, result = here.recv()
    except EOFError:
        raise WorkFailedError(f"{work.__name__} died") from None
    finally:
        process.kill()
        process.join()
        here.close()
    if not done:
        raise WorkFailedError(f"{work.__name__}: {result}")
    return result  # type: ignore[no-any-return]  # a pipe is untyped


def _run(pipe: Connection, work: Callable[..., Coroutine[Any, Any, Any]], args: Any, kwargs: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    try:
        pipe.send((True, uvloop.run(asyncio.wait_for(work(*args, **kwargs), SECONDS))))
    except BaseException:  # noqa: BLE001 - it is told to the parent, whatever it is
        pipe.send((False, traceback.format_exc(limit=-3)))
