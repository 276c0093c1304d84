"""Released checkpoints, and those that are trained here: loaded completely and reported, or refused with a reason.

One way in for every file: a path, a URL or a name -> :mod:`.zoo` (where is it) -> :mod:`.download` -> :mod:`.reader`
(is it safe and whole) -> :mod:`.formats` (whose is it) -> :mod:`.report` (does it fit) -> the model.
"""

from __future__ import annotations

from ..completeness import partial
from .checkpoint import SCHEME, Checkpoint, locate, open_checkpoint
from .errors import (
    CheckpointError,
    DownloadError,
    HashMismatchError,
    MisfitError,
    NotACheckpointError,
    TornFileError,
    UnsafeFileError,
)
from .report import LoadReport, holds_moganet, load
from .scheme import register_scheme

__all__ = [
    'SCHEME',
    'Checkpoint',
    'CheckpointError',
    'DownloadError',
    'HashMismatchError',
    'LoadReport',
    'MisfitError',
    'NotACheckpointError',
    'TornFileError',
    'UnsafeFileError',
    'holds_moganet',
    'load',
    'locate',
    'open_checkpoint',
    'partial',
    'register_scheme',
]
