"""``moganet://``: names, URLs and paths for MMEngine's own loader, in ``load_from`` and in ``init_cfg``."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from ..completeness import note_source, source_of
from .checkpoint import SCHEME, open_checkpoint


def register_scheme() -> None:
    """Register the scheme with MMEngine; a second time changes nothing."""
    CheckpointLoader.register_scheme(SCHEME, load_for_mmengine, force=True)


def load_for_mmengine(filename: str, map_location: Any = None, logger: Any = None) -> dict[str, Any]:
    """Return the checkpoint that MMEngine asks for.

    Other models than MogaNet are given theirs as they are: whether a MogaNet is filled, its own load hook sees.

    Args:
        filename: ``moganet://`` and a path, a URL or a name of the zoo.
        map_location: the device for the weights, as for :func:`torch.load`; None means the CPU.
        logger: not used.

    Raises:
        KeyError, FileNotFoundError, CheckpointError: as :func:`open_checkpoint`.
    """
    checkpoint = open_checkpoint(filename, foreign=True).for_mmengine()
    if isinstance(map_location, (str, torch.device)) and str(map_location) != 'cpu':
        weights = checkpoint['state_dict']
        for name, tensor in weights.items():
            weights[name] = tensor.to(map_location)
            source = source_of(tensor)
            if source is not None:
                note_source(weights[name], source)
    return checkpoint
