"""What MMEngine and the toolboxes lack to run a config: a Runner, loops, hooks and optimizer wrappers.

Importing this registers them. The library behind ``tools/`` is in the modules beside this file;
:mod:`moganet.engine.launch` is the place to start.
"""

from .hooks import PictureHook, SafeCheckpointHook
from .loops import ResumableEpochLoop, ResumableIterLoop
from .optimizers import CpuAmpOptimWrapper, LayerWiseDecayOptimWrapperConstructor
from .runner import ResumableRunner
from .sharded_runner import ShardedRunner
from .strategies import FullyShardedStrategy

__all__ = [
    'CpuAmpOptimWrapper',
    'FullyShardedStrategy',
    'LayerWiseDecayOptimWrapperConstructor',
    'PictureHook',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'ResumableRunner',
    'SafeCheckpointHook',
    'ShardedRunner',
]
