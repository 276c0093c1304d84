"""Optimizer wrappers, and constructors of them, that MMEngine lacks, in its root registry."""

from .amp import CpuAmpOptimWrapper
from .layer_decay import LayerWiseDecayOptimWrapperConstructor

__all__ = ['CpuAmpOptimWrapper', 'LayerWiseDecayOptimWrapperConstructor']
