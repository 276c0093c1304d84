"""Optimizer wrappers that MMEngine lacks, in its root registry."""

from .amp import CpuAmpOptimWrapper

__all__ = ['CpuAmpOptimWrapper']
