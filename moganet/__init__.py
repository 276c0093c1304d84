"""MogaNet for OpenMMLab 2.x.

Importing this package registers the backbone, its hooks, metrics and optimizer wrappers, the ``moganet::`` config scope
and the ``moganet://`` scheme of checkpoints with MMEngine, and does nothing else: no toolbox is imported, nothing is
printed, the network is not touched.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .models import MogaNet


def _for_doctor() -> bool:
    """Whether Python imports this package on its way to ``python -m moganet.doctor``.

    The doctor looks at torch from outside: an import that crashes or hangs must not end here, in its own process.
    """
    # While Python looks for the module of -m, '-m' stands where the script's name will be; Python 3.9 keeps no more.
    given = getattr(sys, 'orig_argv', sys.argv)
    return sys.argv[:1] == ['-m'] and given[-len(sys.argv)].endswith(f'{__name__}.doctor')


def _import_needed() -> None:
    """Imports what everything here needs, and raises whatever that raises."""
    for name in ('torch', 'mmengine.model'):
        importlib.import_module(name)
    torch = sys.modules['torch']
    if not hasattr(torch, 'compiler'):
        # It came with the oldest release that we run with.
        raise ImportError(f'torch {torch.__version__} is too old')


_unavailable: Exception | None = None
if not _for_doctor():
    try:
        _import_needed()
    except Exception as error:
        # Without MMEngine there is no registry to register in, and a broken torch raises anything (OSError for a
        # missing library, ValueError for another NumPy). Whoever asks for a model gets the reason, below. Our own
        # modules are not tried here: their errors are raised.
        _unavailable = error
    else:
        from . import checkpoints, compat, engine, evaluation
        from .apis import get_config, get_model, list_models
        from .models import MogaNet

        compat.register_scopes()
        compat.allow_resume_globals()
        checkpoints.register_scheme()

__all__ = [
    'MogaNet',
    '__version__',
    'checkpoints',
    'engine',
    'evaluation',
    'get_config',
    'get_model',
    'list_models',
]


def __getattr__(name: str) -> object:
    if name in (*__all__, 'compat', 'models') and _unavailable is not None:
        raise ImportError(
            f'moganet.{name} needs torch and MMEngine, which cannot be imported here ({_unavailable}); '
            '`python -m moganet.doctor` prints the line that mends it'
        ) from _unavailable
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
