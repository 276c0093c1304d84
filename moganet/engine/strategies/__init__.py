"""How a model is spread over processes, in MMEngine's root registry."""

from .sharded import FullyShardedStrategy

__all__ = ['FullyShardedStrategy']
