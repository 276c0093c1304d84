"""What may be wrong with a checkpoint, one type for each thing that a caller may want to tell apart."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Something is wrong with a checkpoint; the message says what, and what to do."""


class TornFileError(CheckpointError):
    """The file is cut short, or its bytes are not those that were written."""


class NotACheckpointError(CheckpointError):
    """The file is whole, perhaps, but holds something else."""


class UnsafeFileError(CheckpointError):
    """The file asks for more than weights: for code to be run, or for more memory than it holds."""


class DamagedWeightsError(CheckpointError):
    """Weights are not finite."""


class HashMismatchError(CheckpointError):
    """The file is not the one whose sha256 was given or recorded."""


class MisfitError(CheckpointError):
    """The weights are of another model, or were trained with another gate.

    Attributes:
        report: what was found, as text of one screen; empty where the gate alone is wrong.
    """

    def __init__(self, message: str, report: object = '') -> None:
        super().__init__(message)
        self.report = str(report)


class DownloadError(CheckpointError):
    """The file could not be fetched."""


class ForeignModelError(CheckpointError):
    """The weights are no MogaNet's, or not where one is looked for."""
