"""What is measured of a model: library code behind ``tools/analysis_tools``."""

from .complexity import COUNTERS, Complexity, build_model, count, default_shape, described_model
from .memory import Memory, in_float32, optimizer_tensors, peak_bytes, prime, training_memory, training_shape

__all__ = [
    'COUNTERS',
    'Complexity',
    'Memory',
    'build_model',
    'count',
    'default_shape',
    'described_model',
    'in_float32',
    'optimizer_tensors',
    'peak_bytes',
    'prime',
    'training_memory',
    'training_shape',
]
