"""What MMEngine and the toolboxes lack to run a config: hooks and optimizer wrappers, which importing this registers.

The library behind ``tools/`` is in the modules beside this file; :mod:`moganet.engine.launch` is the place to start.
"""

from .hooks import PictureHook
from .optimizers import CpuAmpOptimWrapper, LayerWiseDecayOptimWrapperConstructor

__all__ = ['CpuAmpOptimWrapper', 'LayerWiseDecayOptimWrapperConstructor', 'PictureHook']
