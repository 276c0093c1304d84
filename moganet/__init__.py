"""MogaNet for OpenMMLab 2.x.

Importing this package registers the backbone, its hooks and optimizer wrappers and the ``moganet::`` config scope with
MMEngine, and does nothing else: no toolbox is imported, nothing is printed, the network is not touched.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .models import MogaNet

try:
    for _name in ('torch', 'mmengine.model'):
        importlib.import_module(_name)
except Exception as error:
    # Without MMEngine there is no registry to register in, and a broken torch raises anything (OSError for a missing
    # library, ValueError for another NumPy): `python -m moganet.doctor` must still be able to say so. Whoever asks for
    # a model gets the reason, below. Our own modules are not tried here: their errors are raised.
    _unavailable: Exception | None = error
else:
    _unavailable = None
    from . import compat, engine
    from .models import MogaNet

    compat.register_scopes()
    compat.allow_resume_globals()

__all__ = ['MogaNet', '__version__', 'engine']


def __getattr__(name: str) -> object:
    if name in ('MogaNet', 'compat', 'engine', 'models') and _unavailable is not None:
        raise ImportError(
            f'moganet.{name} needs torch and MMEngine, which cannot be imported here ({_unavailable}); '
            '`python -m moganet.doctor` prints the line that mends it'
        ) from _unavailable
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
