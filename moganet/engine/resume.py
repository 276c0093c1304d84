"""What a training goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoint, open_checkpoint

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


def latest_checkpoint(
    work_dir: str | Path, foreign: bool = False, since: float = 0
) -> tuple[Checkpoint | None, list[str]]:
    """Return the checkpoint that ``--resume auto`` goes on from, and what is to be said of those that are passed over.

    It is the one that the run has noted; where that is damaged or gone, the newest of the others that is whole.
    MMEngine notes an absolute path; where that is gone, as after the folder was moved, the file of that name in the
    work dir is meant.

    Args:
        work_dir: where the run writes.
        foreign: its model has no MogaNet.
        since: only those written at this time or later count, seconds since the epoch.

    Returns:
        None for a work dir in which no checkpoint was written.

    Raises:
        ValueError: there are checkpoints, and none can be resumed from.
    """
    notes: list[str] = []
    for path in _candidates(Path(work_dir)):
        if path.is_file() and path.stat().st_mtime < since:
            continue
        try:
            checkpoint = open_checkpoint(path, foreign=foreign)
            check_resumable(checkpoint.data, path)
        except (ValueError, OSError) as error:
            notes.append(f'passed over: {error}')
        else:
            return checkpoint, notes
    if notes:
        raise ValueError(
            f'{work_dir} has no checkpoint that can be resumed from ({"; ".join(notes)}); '
            'give one with --resume PATH, or a fresh --work-dir'
        )
    return None, []


def _candidates(work_dir: Path) -> list[Path]:
    """Return the checkpoints of a run, the noted one first, then the newest; the best ones have no optimizer."""
    noted: list[Path] = []
    folders = [work_dir]
    note = work_dir / 'last_checkpoint'
    text = note.read_text(encoding='utf-8').strip() if note.is_file() else ''
    if text:
        noted = [Path(text)] if Path(text).exists() else [work_dir / Path(text).name]
        folders.append(noted[0].parent)
    passed_over = ('best_', '.')  # pathlib's glob finds hidden files: what is being written
    found = {path for folder in folders for path in folder.glob('*.pth') if not path.name.startswith(passed_over)}
    others = sorted(found - set(noted), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [*noted, *others]
