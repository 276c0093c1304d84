"""What is measured of a model: library code behind ``tools/analysis_tools``."""

from .complexity import COUNTERS, Complexity, count, default_shape, described_model
from .memory import Memory, peak_bytes, training_memory, training_shape

__all__ = [
    'COUNTERS',
    'Complexity',
    'Memory',
    'count',
    'default_shape',
    'described_model',
    'peak_bytes',
    'training_memory',
    'training_shape',
]
