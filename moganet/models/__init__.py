"""Models: registered in MMEngine's root registry when this package is imported."""

from .backbones import MogaNet
from .classifier import MogaNetClassifier

__all__ = ['MogaNet', 'MogaNetClassifier']
