"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, FAILED, NOT_RUN = 'ok', 'warning', 'FAILED', 'not run'
STATES = (OK, WARNING, FAILED, NOT_RUN)


class NotRunError(Exception):
    """A check cannot be made, for want of what another one should have found; the message says of what."""


@dataclass(frozen=True)
class Result:
    """One line of a preflight.

    Attributes:
        name: of the check.
        state: one of :data:`STATES`.
        text: what was looked at, the numbers, and what to do.
    """

    name: str
    state: str
    text: str

    def __str__(self) -> str:
        return f'{self.name:10}  {self.state:7}  {self.text}'


def size(number: float) -> str:
    """Return bytes in words: MB of 10^6 or GB of 10^9, as docs/memory.md has them."""
    return f'{number / 1e9:,.2f} GB' if number >= 1e9 else f'{number / 1e6:,.1f} MB'


def judged(need: float, free: float) -> str:
    """Return what a need means beside what is free: a warning from 90 %, a failure above 100 %."""
    return FAILED if need > free else WARNING if need > 0.9 * free else OK


def words_of(error: Exception) -> str:
    """Return what an error says, in one line; one that is no user's begins with its kind."""
    text = ' '.join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    if isinstance(error, OSError) and error.errno is not None:
        return f'{error.strerror}: {error.filename}' if error.filename else str(error.strerror)
    return text if isinstance(error, (ValueError, KeyError, OSError)) else f'{type(error).__name__}: {text}'
