"""What can be known of a training before its first step: whether it may begin, what it needs, how long it will take."""

from .checks import CHECKS, preflight
from .result import Result
from .subject import Subject

__all__ = ['CHECKS', 'Result', 'Subject', 'preflight']
