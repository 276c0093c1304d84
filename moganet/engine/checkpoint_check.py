"""Find out, before a run starts, whether a checkpoint fits the model that it is for."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..compat import torch_version
from .names import missing_file

# What MMEngine needs beside the weights to go on with a training.
_RESUME_KEYS = ('meta', 'state_dict', 'message_hub', 'optimizer')


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a local checkpoint with torch's weights-only reader, on the CPU.

    Raises:
        FileNotFoundError: there is no such file; the message names near ones.
        ValueError: the file is torn, is no checkpoint, or holds objects that are no weights.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise missing_file('checkpoint', path, '*.pth')
    try:
        # Before 2.6 torch has no way to allow MMEngine's own log history, see compat.allow_resume_globals.
        checkpoint = torch.load(file, map_location='cpu', weights_only=torch_version() >= (2, 6))
    except pickle.UnpicklingError as error:
        if _is_whole(file):
            raise ValueError(
                f'checkpoint {path} holds objects that are no weights; reading them could run code: {_reason(error)}'
            ) from error
        raise ValueError(f'checkpoint {path} is no checkpoint, or is torn: {_reason(error)}') from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f'checkpoint {path} is torn, or is no checkpoint: {_reason(error)}') from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f'checkpoint {path} holds a {type(checkpoint).__name__}; a dict of weights is needed')
    return checkpoint


def _is_whole(file: Path) -> bool:
    return zipfile.is_zipfile(file)


def _reason(error: Exception) -> str:
    """Return the gist of one of torch's messages, which run over twenty lines."""
    text = str(error)
    found = re.search(r'GLOBAL (\S+)', text)
    if found:
        return found.group(1)
    # The first sentence; what torch advises after it, reading the file unsafely, is no advice for such a file.
    first = re.split(r'[.\n](?:\s|$)', text.strip(), maxsplit=1)[0]
    return first or type(error).__name__


def weights_of(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint, under the names that MMEngine will give them."""
    weights = checkpoint.get('state_dict', checkpoint)
    return {re.sub(r'^module\.', '', key): value for key, value in weights.items() if isinstance(value, torch.Tensor)}


def check_fit(model: nn.Module, weights: dict[str, torch.Tensor], path: str | Path, prefix: str = '') -> None:
    """Refuse weights that leave a part of the model as it was initialised.

    MMEngine loads what fits and warns about the rest, so a wrong file is evaluated at random weights without an error.
    Weights that the model does not have are left to MMEngine's notice.

    Args:
        model: the model, or the part of one, to be filled; the weights are loaded into it.
        weights: name to tensor.
        path: the file they come from, for the message.
        prefix: what precedes the names in the file.

    Raises:
        ValueError: a parameter or a buffer would stay unfilled, or has another shape; the message counts them by
            module.
    """
    given = {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
    own = model.state_dict()
    foreign = []
    try:
        # Loaded for good, since modules may have hooks that rename or resize what they are given.
        missing = list(model.load_state_dict(given, strict=False).missing_keys)
    except RuntimeError as error:
        missing = [name for name in own if name not in given]
        for name in re.findall(r'size mismatch for (\S+):', str(error)):
            foreign.append(f'{name}: {tuple(given[name].shape)} in the file, {tuple(own[name].shape)} in the model')
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]  # not saved by old torch
    if not missing and not foreign:
        return
    parts = []
    if missing:
        parts.append(f'{len(missing)} of {len(own)} are missing ({_by_module(missing)})')
    if foreign:
        more = f' and {len(foreign) - 2} more' if len(foreign) > 2 else ''
        parts.append(f'{len(foreign)} have another shape ({"; ".join(foreign[:2])}{more})')
    raise ValueError(
        f'checkpoint {path} does not fill the model: of its parameters and buffers {", and ".join(parts)}; '
        'give the config that the checkpoint was trained with'
    )


def _by_module(names: list[str]) -> str:
    """Return ``backbone.stage1: 40, head.fc: 2``: how many names lie in each module, the fullest four first."""
    counts = Counter('.'.join(name.split('.')[:2]) if name.count('.') > 1 else name.split('.')[0] for name in names)
    shown = ', '.join(f'{module}: {count}' for module, count in counts.most_common(4))
    return shown + (', ...' if len(counts) > 4 else '')


def check_resumable(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Refuse to resume from a file that holds weights alone.

    Raises:
        ValueError: the optimizer's state, the progress or the log is absent.
    """
    missing = [key for key in _RESUME_KEYS if key not in checkpoint]
    if missing:
        raise ValueError(
            f'checkpoint {path} cannot be resumed from: it has no {", ".join(missing)}; '
            'to start a new training from its weights use --cfg-options load_from=PATH'
        )


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Return the checkpoint that ``--resume auto`` goes on from, or None when a work dir has none.

    MMEngine notes an absolute path; where that is gone, as after the folder was moved, the file of that name in the
    work dir is meant.

    Raises:
        ValueError: the noted file is gone from both places.
    """
    note = Path(work_dir) / 'last_checkpoint'
    if not note.is_file():
        return None
    noted = Path(note.read_text(encoding='utf-8').strip())
    for candidate in (noted, note.parent / noted.name):
        if candidate.is_file():
            return str(candidate)
    others = ', '.join(str(file) for file in sorted(note.parent.glob('*.pth')))
    raise ValueError(
        f'{note} names {noted}, which is gone; resume from another with --resume PATH'
        f'{" (" + others + ")" if others else ""}, or give a fresh --work-dir'
    )
