"""What the set-up leaves behind in an environment: its note, and what a killed pip left there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import STATE


def read_state(venv: Path) -> dict[str, object]:
    """What earlier runs noted in the environment; nothing when the note is torn."""
    try:
        state = json.loads((venv / STATE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(venv: Path, **changes: object) -> None:
    """Adds to the note, in one step."""
    half = venv / f'{STATE}.part'
    half.write_text(
        json.dumps({'made_by': 'tools/misc/setup_env.py', **read_state(venv), **changes}, indent=2), encoding='utf-8'
    )
    half.replace(venv / STATE)


def sweep(folder: Path) -> None:
    """Removes what a killed pip left: its own backups, and packages whose metadata never became whole.

    pip can neither use nor uninstall the latter; without their metadata they are simply written again.
    """
    for path in [*folder.glob('~*'), *folder.glob('*.dist-info')]:
        if path.name.startswith('~') or not (path / 'INSTALLER').is_file():
            shutil.rmtree(path, ignore_errors=True)
