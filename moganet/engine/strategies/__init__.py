"""How a model is spread over processes, in MMEngine's root registry."""

from .sharded import FullyShardedStrategy
from .zero import ZeroStrategy

__all__ = ['FullyShardedStrategy', 'ZeroStrategy']
