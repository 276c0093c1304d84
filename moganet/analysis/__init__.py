"""What is measured of a model: library code behind ``tools/analysis_tools``."""

from .complexity import COUNTERS, Complexity, count, default_shape

__all__ = ['COUNTERS', 'Complexity', 'count', 'default_shape']
