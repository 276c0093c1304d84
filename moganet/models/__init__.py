"""Models: registered in MMEngine's root registry when this package is imported."""

from .backbones import MogaNet

__all__ = ['MogaNet']
