"""MMEngine's training loops, which go on anywhere as if they had never stopped."""

from .epochs import ResumableEpochLoop
from .iterations import ResumableIterLoop
from .resumable import ResumableLoop, resumable

__all__ = ['ResumableEpochLoop', 'ResumableIterLoop', 'ResumableLoop', 'resumable']
