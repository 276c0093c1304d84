"""Calls pip, keeps what it says in a log, and turns its failures into one line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

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
        # torch's words, with the versions in them or, as recent ones print it, in a tuple with them.
        r'The detected CUDA version \((?:([\d.]+)\) mismatches[^()]*?PyTorch\s+\(([\d.]+)\)|'
        r"%s\) mismatches[^()]*?\(%s\)[^()]*?'([\d.]+)', '([\d.]+)'\))",
        'the CUDA toolkit found here is {0}, and torch was compiled with {1}: install the CUDA toolkit {1} and run the '
        'same line again with CUDA_HOME=/usr/local/cuda-{1} (or where it lies)',
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
            return hint.format(*filter(None, found.groups()), minor=sys.version_info[1])
    return ''


def child_variables(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child, with ``changes``."""
    # Nobody has activated the environment: without its programs on the path torch does not find the ninja in it, and
    # compiles one file at a time.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get('PATH', os.defpath)])
    # A user-wide `user = true` in pip's settings would make every install into an environment fail.
    return {**os.environ, 'PATH': path, 'PIP_USER': '0', 'PYTHONUNBUFFERED': '1', **(changes or {})}


class Pip:
    """pip of one environment.

    Args:
        log: the file that takes pip's output.
        command: how to call it; the running interpreter's own by default.
    """

    def __init__(self, log: Path, command: Sequence[str] = ()) -> None:
        self.log = log
        self.command = list(command) or [sys.executable, '-m', 'pip']
        self.locks: list[int] = []

    @contextlib.contextmanager
    def sharing(self, lock: int) -> Iterator[None]:
        """Whatever is called meanwhile holds a locked file, too: killed alone, the set-up leaves it running and locked.

        Args:
            lock: the file's descriptor.
        """
        self.locks.append(lock)
        try:
            yield
        finally:
            self.locks.remove(lock)

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
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=child_variables(),
            pass_fds=self.locks,
        )
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
        # It writes to the log itself: a pipe would break, and the command with it, when the set-up is killed alone.
        with (
            open(self.log, 'a', encoding='utf-8') as log,
            open(self.log, encoding='utf-8', errors='replace') as said,
        ):
            log.write(f'\n$ {" ".join(command)}\n')
            log.flush()
            start = said.seek(0, os.SEEK_END)
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=child_variables(environment),
                pass_fds=self.locks,
                start_new_session=True,
            )
            try:
                _follow(process, said, status, on_line)
            except BaseException:
                _end(process)
                raise
            if process.returncode != 0:
                status.fail()
                said.seek(start)
                raise SetupError(self._message(command, said.read()))

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
    process: subprocess.Popen[bytes], said: TextIO, status: StatusLine, on_line: Callable[[str], str] | None
) -> None:
    """Reads what a process says until it ends, and keeps the status moving."""
    detail = rest = ''
    ended = False
    while not ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        # Asked before reading, so that its last words are not missed.
        ended = process.returncode is not None
        *lines, rest = (rest + said.read()).split('\n')
        for line in lines if on_line is not None else ():
            detail = on_line(line) or detail
        status.tick(detail)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads a session, and all that it has started: compilers outlive the pip that called them."""
    for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
