"""Write a checkpoint: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

ENDINGS = ('.pth', '.safetensors')


def save(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Write a checkpoint under a temporary name, and move it into place once it is on the disk.

    Args:
        checkpoint: ``state_dict`` and ``meta``; a safetensors file keeps what of ``meta`` is a text, a number or a
            truth value, as texts.
        path: the file, which ends in ``.pth`` or ``.safetensors``. One that is there is replaced.

    Raises:
        ValueError: another ending.
        FileNotFoundError: there is no such folder.
    """
    path = check_target(path, replace=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f'.{path.name}.', delete=False) as file:
        temporary = Path(file.name)
        try:
            if path.suffix == '.safetensors':
                file.write(_safetensors(checkpoint))
            else:
                torch.save(dict(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())  # a temporary file is its owner's alone
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def check_target(path: str | Path, *, replace: bool) -> Path:
    """Return the path of a file to be written, if it can be.

    Raises:
        ValueError: another ending than those of :data:`ENDINGS`, or the file is there and is not to be replaced.
        FileNotFoundError: there is no such folder.
    """
    path = Path(path).expanduser()
    if path.suffix not in ENDINGS:
        raise ValueError(f'{path}: checkpoints are written as {" or ".join(ENDINGS)}; give a name that ends so')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'no such folder: {path.parent}, for {path.name}')
    if path.exists() and not replace:
        raise ValueError(f'{path} is there already; give another name, or --force to replace it')
    return path


def _safetensors(checkpoint: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save as encoded

    meta = {key: str(value) for key, value in checkpoint['meta'].items() if isinstance(value, (str, int, float, bool))}
    return encoded({name: value.contiguous() for name, value in checkpoint['state_dict'].items()}, metadata=meta)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
