"""Metrics, in MMEngine's root registry."""

from .dump import DumpSegResults

__all__ = ['DumpSegResults']
