"""What a training goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# What MMEngine needs beside the weights to go on with a training.
_RESUME_KEYS = ('meta', 'state_dict', 'message_hub', 'optimizer')


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
