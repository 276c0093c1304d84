"""Write a checkpoint: whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..whole_file import replacing
from .hashing import sha256_of
from .safetensors_check import DATASET_META

ENDINGS = ('.pth', '.safetensors')


def save(checkpoint: Mapping[str, Any], path: str | Path, *, with_hash: bool = False) -> Path:
    """Write a checkpoint under a temporary name, and move it into place once it is on the disk.

    Args:
        checkpoint: ``state_dict`` and ``meta``; a safetensors file keeps what of ``meta`` is a text, a number or a
            truth value, as texts, and the classes and their colours.
        path: the file, which ends in ``.pth`` or ``.safetensors``. One that is there is replaced.
        with_hash: put the first eight digits of the file's sha256 into its name, ``NAME-0123abcd.pth``, as OpenMMLab
            does for released files.

    Returns:
        Where it is.

    Raises:
        ValueError: another ending, or a folder.
        FileNotFoundError: there is no such folder.
    """
    path = check_target(path, replace=True)
    with replacing(path) as new:
        if path.suffix == '.safetensors':
            new.file.write(_safetensors(checkpoint))
        else:
            torch.save(dict(checkpoint), new.file)
        if with_hash:
            new.file.flush()
            new.path = path.with_name(f'{path.stem}-{sha256_of(Path(new.file.name))[:8]}{path.suffix}')
    return new.path


def check_target(path: str | Path, *, replace: bool) -> Path:
    """Return the path of a file to be written, if it can be.

    Raises:
        ValueError: another ending than those of :data:`ENDINGS`, a folder, or the file is there and is not to be
            replaced.
        FileNotFoundError: there is no such folder.
    """
    path = Path(path).expanduser()
    if path.suffix not in ENDINGS:
        raise ValueError(f'{path}: checkpoints are written as {" or ".join(ENDINGS)}; give a name that ends so')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'no such folder: {path.parent}, for {path.name}')
    if path.is_dir():
        raise ValueError(f'{path} is a folder; give the name of a file')
    if path.exists() and not replace:
        raise ValueError(f'{path} is there already; give another name, or --force to replace it')
    return path


def _safetensors(checkpoint: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save as encoded

    meta = {key: str(value) for key, value in checkpoint['meta'].items() if isinstance(value, (str, int, float, bool))}
    said = checkpoint['meta'].get(DATASET_META) or {}
    named = {key: said[key] for key in ('classes', 'palette') if key in said}
    if named:
        meta[DATASET_META] = json.dumps(named, default=lambda value: value.tolist())  # arrays of numpy
    return encoded(_apart(checkpoint['state_dict']), metadata=meta)


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give each tensor memory of its own, which the format asks for; heads may share layers between their levels."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in state.items():
        own = value.contiguous()
        memory = own.untyped_storage().data_ptr()
        apart[name] = own.clone() if memory in seen else own
        seen.add(memory)
    return apart

