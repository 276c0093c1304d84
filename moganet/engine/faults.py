"""Faults of a run that its user has to know of, told in one line."""

from __future__ import annotations


class RunFault(RuntimeError):
    """A run cannot go on, for a reason that is no error of the program; the message says what, and what to do."""


class NotFiniteError(RunFault):
    """A loss or a gradient is infinite or not a number."""


class CheckpointWriteError(RunFault):
    """A checkpoint cannot be written; those before it are whole."""
