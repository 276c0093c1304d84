"""Backbones."""

from .moganet import VARIANTS, MogaNet, Variant

__all__ = ['VARIANTS', 'MogaNet', 'Variant']
