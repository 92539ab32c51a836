"""Forks the workers, so that they share the memory that the program takes before it serves.

    parent ──► fork server ──► worker 0, worker 1

A process may fork as long as it has one thread and no event loop. So the parent forks a server before it
serves, and asks that server for each worker. A worker that has ended stays a zombie until the parent asks for
its status, so a process id names no other process as long as the parent may signal it.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import NoReturn

from proxy.service.several.orders import Orders
from proxy.service.several.worker import work

UNKNOWN = 255
"""The status of a worker that nobody knows."""
LOOKED_EVERY = 0.02
"""Seconds between two looks if a worker that closed its channel has ended."""
MOST_DESCRIPTORS = 1 << 20
"""Descriptors above this one are not closed in a worker."""


class Forked:
    """A worker's process, as the parent has it."""

    def __init__(self, pid: int, server: "ForkServer") -> None:
        self.pid = pid
        """Its id."""
        self.returncode: int | None = None
        """Its status once it has ended, negative for a signal; None until `wait` knows it."""
        self._server = server

    async def wait(self) -> None:
        """Waits for the end, which is near. May be called once."""
        while self.returncode is None:
            try:
                self.returncode = await self._server.status(self.pid)
            except OSError:  # the server is gone, so nobody knows
                self.returncode = UNKNOWN
            await asyncio.sleep(LOOKED_EVERY)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is not known to have ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class ForkServer:
    """The parent's side of the server."""

    def __init__(self) -> None:
        """Forks the server. Raises `OSError`."""
        self._connection, theirs = Pipe()
        self._end, held = os.pipe()  # only the server holds the other end
        gc.collect()
        gc.freeze()  # a collection would write to shared memory
        self._pid = os.fork()
        if self._pid == 0:
            _run(_serve, self._connection, theirs)
        theirs.close()
        os.close(held)
        self._asking = ThreadPoolExecutor(1, "forks")  # the answer may take a while
        self._asking.submit(int)  # later there may be no room for a thread

    def fileno(self) -> int:
        """A descriptor that can be read once the server is gone."""
        return self._end

    async def fork(self, orders: Orders, control: int) -> Forked:
        """Starts a worker; its channel is a copy of a descriptor. Raises `OSError`."""
        pid = await asyncio.get_running_loop().run_in_executor(self._asking, self._asked, orders, control)
        assert pid is not None
        return Forked(pid, self)

    async def status(self, pid: int) -> int | None:
        """The status of a worker; None if it has not ended. Raises `OSError`."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, self._asked, pid)

    def _asked(self, said: Orders | int, passed: int | None = None) -> int | None:
        try:
            self._connection.send(said)
            if passed is not None:
                send_handle(self._connection, passed, None)
            answer: int | OSError | None = self._connection.recv()
        except EOFError as error:
            raise ConnectionError("the process that forks the workers is gone") from error
        if isinstance(answer, OSError):  # as with too many processes
            raise answer
        return answer

    def close(self) -> None:
        """Ends the server, even if it hangs. A worker that still runs ends too, since its channel closes."""
        with suppress(ProcessLookupError, ChildProcessError):  # if SIGCHLD is ignored
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._asking.shutdown()
        self._connection.close()
        os.close(self._end)


def _serve(parents: Connection, connection: Connection) -> None:
    """Does what the parent asks for, until the parent is gone."""
    parents.close()
    os.setpgid(0, 0)  # a terminal's signals are for the parent
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    with suppress(EOFError, ConnectionError):
        while True:
            asked = connection.recv()
            if isinstance(asked, int):
                connection.send(_status(asked))
            else:
                os.set_inheritable(control := recv_handle(connection), False)  # not for a worker's codecs
                connection.send(_forked(replace(asked, control=control)))


def _status(pid: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return UNKNOWN
    return os.waitstatus_to_exitcode(status) if ended else None


def _forked(orders: Orders) -> int | OSError:
    """Forks a worker. Returns its process id, or the error."""
    try:
        if (pid := os.fork()) == 0:
            _run(_work, orders)
    except OSError as error:
        return error
    finally:
        os.close(orders.control)
    return pid


def _work(orders: Orders) -> None:
    _close_others((orders.viewers, orders.control, orders.inbox, *orders.inboxes.values()))
    work(orders)


def _close_others(kept: Iterable[int]) -> None:
    """Closes all descriptors except the standard ones and those that are kept."""
    after = 3
    for descriptor in sorted(kept):
        os.closerange(after, descriptor)
        after = descriptor + 1
    os.closerange(after, MOST_DESCRIPTORS)


def _run(target: Callable[..., None], *given: object) -> NoReturn:
    """Runs a forked process to its end. Nothing that was under way in the parent goes on here."""
    status = 1
    try:
        try:
            target(*given)
            status = 0
        except BaseException:
            traceback.print_exc()
        logging.shutdown()
        if sys.stderr is not None:
            sys.stderr.flush()
    finally:
        os._exit(status)
