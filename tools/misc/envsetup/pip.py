"""Calls pip, keeps what it says in a log, and turns its failures into one line."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import SetupError
from .progress import StatusLine

# What pip and compilers say, and what the user can do about it; the first that is found counts.
HINTS = (
    (r'No space left on device|Errno 28', 'the disk is full: make room and run the same line again'),
    (
        r'Read-only file system|Permission denied',
        'a folder cannot be written (see the log): choose another place with VENV=/path',
    ),
    (
        r'Temporary failure in name resolution|Name or service not known|Failed to establish a new connection|'
        r'Network is unreachable|Connection refused|ProxyError|Read timed out|ConnectTimeoutError|Max retries exceeded',
        "the package index cannot be reached: check the network (or pip's proxy and index settings) and run the same "
        'line again, it goes on from here',
    ),
    (
        r'Python\.h: No such file',
        "Python's headers are missing: install them (Debian, Ubuntu: apt-get install python3.{minor}-dev) and run the "
        'same line again',
    ),
    (
        r"(command|unable to execute) '?\S*(gcc|g\+\+|cc|c\+\+|clang\S*)'?.*(No such file|not found)|"
        r'Error checking compiler version',
        'no C++ compiler: install one (Debian, Ubuntu: apt-get install g++) and run the same line again',
    ),
    (
        r'internal compiler error: Killed|Killed signal terminated program',
        'out of memory while compiling: run the same line with MAX_JOBS=1',
    ),
    (
        r'No matching distribution found for (\S+)',
        'the package index has no {0} for this Python and machine: see the log for its settings',
    ),
)


def explain(said: str) -> str:
    """The user's line for what pip said; empty when it is none of the known ones."""
    for pattern, hint in HINTS:
        found = re.search(pattern, said)
        if found:
            return hint.format(*found.groups(), minor=sys.version_info[1])
    return ''


class Pip:
    """pip of one environment.

    Args:
        log: the file that takes pip's output.
        command: how to call it; the running interpreter's own by default.
    """

    def __init__(self, log: Path, command: Sequence[str] = ()) -> None:
        self.log = log
        self.command = list(command) or [sys.executable, '-m', 'pip']

    def run(
        self,
        arguments: Sequence[str],
        status: StatusLine,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], str] | None = None,
    ) -> None:
        """Runs pip to its end.

        Args:
            arguments: without ``pip`` itself, such as ``install``, ``numpy``.
            status: kept moving meanwhile.
            environment: variables to add.
            on_line: takes each line of output, and returns how far it is, for the status.

        Raises:
            SetupError: pip failed; the message gives what to do, or the end of what it said.
        """
        self.call([*self.command, *arguments], status, environment, on_line)

    def install(
        self, arguments: Sequence[str], status: StatusLine, environment: Mapping[str, str] | None = None
    ) -> None:
        """``pip install``, quietly; the user's own settings of pip hold."""
        # Compiling all of torch to bytecode takes longer than unpacking it; what is imported is compiled then.
        self.run(
            ['install', '-q', '--no-compile', '--disable-pip-version-check', '--no-input', *arguments],
            status,
            environment,
        )

    def versions(self, distribution: str) -> list[str]:
        """The versions of a distribution that pip's own settings offer; none when it cannot tell."""
        command = [*self.command, 'index', 'versions', '--disable-pip-version-check', '--no-input', distribution]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        found = re.search(r'^Available versions: (.+)$', done.stdout, re.M)
        return [version.strip() for version in found.group(1).split(',')] if found else []

    def call(
        self,
        command: Sequence[str],
        status: StatusLine,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], str] | None = None,
    ) -> None:
        """Runs any command in the same manner."""
        # A user-wide `user = true` in pip's settings would make every install into an environment fail.
        variables = {**os.environ, 'PIP_USER': '0', 'PYTHONUNBUFFERED': '1', **(environment or {})}
        with open(self.log, 'a', encoding='utf-8', errors='replace') as log:
            log.write(f'\n$ {" ".join(command)}\n')
            start = log.tell()
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors='replace',
                env=variables,
            )
            try:
                _follow(process, log.write, status, on_line)
            except BaseException:
                process.terminate()
                raise
            finally:
                log.flush()
        if process.wait() != 0:
            status.fail()
            with open(self.log, encoding='utf-8', errors='replace') as log:
                log.seek(start)
                raise SetupError(self._message(command, log.read()))

    def _message(self, command: Sequence[str], said: str) -> str:
        hint = explain(said)
        if hint:
            return f'{hint} (log: {self.log})'
        # Unknown trouble: the end of the log helps more than anything that could be said about it.
        lines = [line for line in said.splitlines() if line.strip() and 'is ignored: it is neither a file' not in line]
        for line in lines[-15:]:
            print(f'  | {line}', file=sys.stderr)
        return f'`{" ".join(command[-3:])}` failed; the whole output is in {self.log}'


def _follow(
    process: subprocess.Popen[str],
    write: Callable[[str], object],
    status: StatusLine,
    on_line: Callable[[str], str] | None,
) -> None:
    """Passes a process's output on until it ends, and keeps the status moving while it is silent."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    detail = ''
    while True:
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            status.tick(detail)
            continue
        if line is None:
            return
        write(line)
        if on_line is not None:
            detail = on_line(line) or detail
            status.tick(detail)
