"""Builds the tiny sets on disk: each in a folder of its own, complete or not there at all."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moganet.datasets.tiny.fill import STREAMS, Counts, fill
from moganet.datasets.tiny.sources import Sources, load_sources

VERSION = 4  # raise it whenever the same arguments give other files
MANIFEST = 'tiny.json'  # at the root of each set: the arguments that it was made with, and the files that it has
TASKS = ('classification', 'detection', 'segmentation', 'pose')  # made unless others are asked for
FOLDERS = {
    'classification': 'imagenet', 'detection': 'coco', 'segmentation': 'ade', 'pose': 'coco_pose',
    'hands': 'interhand2.6m',
}  # fmt: skip
_PART = '.part'  # ending of a folder that is not complete
_STALE = 3600.0  # seconds after which an unfinished folder must be a dead process's

# Pictures for each task. All 1,797 digits are split 1,438 to 359. 'small' is for trying things out and for tests.
SIZES: dict[str, dict[str, Counts]] = {
    'demo': {
        'classification': {'train': 1438, 'val': 359},
        'detection': {'train': 2000, 'val': 200},
        'segmentation': {'train': 2000, 'val': 200},
        'pose': {'train': 1200, 'val': 150},
        'hands': {'train': 2000, 'val': 200},
    },
    'small': {
        'classification': {'train': 160, 'val': 40},
        'detection': {'train': 24, 'val': 8},
        'segmentation': {'train': 24, 'val': 8},
        'pose': {'train': 24, 'val': 8},
        'hands': {'train': 24, 'val': 8},
    },
}


@dataclass(frozen=True)
class Report:
    """What became of one set: `state` is 'made', 'remade' (it was there, made with other arguments) or 'kept'."""

    task: str
    folder: Path
    counts: Counts
    state: str
    files: int
    size: int
    seconds: float


def plan(
    tasks: Sequence[str] = TASKS, size: str = 'demo', num_train: int | None = None, num_val: int | None = None
) -> dict[str, Counts]:
    """The number of pictures for each task.

    Args:
        tasks: some of the keys of FOLDERS, in any order.
        size: a key of SIZES.
        num_train: pictures for training of every task, in place of the size's.
        num_val: the same for validation.

    Raises:
        ValueError: an unknown or repeated task, an unknown size, a number below 1, or more digits than there are.
    """
    wrong = [f'unknown task {task!r}' for task in tasks if task not in FOLDERS]
    wrong += [f'task {task!r} is given more than once' for task in tasks if list(tasks).count(task) > 1]
    wrong += [] if tasks else ['no task is given']
    if wrong:
        raise ValueError(f'{wrong[0]}; choose among {", ".join(FOLDERS)}')
    if size not in SIZES:
        raise ValueError(f'unknown size {size!r}; choose among {", ".join(SIZES)}')
    result = {}
    for task in tasks:
        counts = dict(SIZES[size][task])
        counts['train'] = counts['train'] if num_train is None else num_train
        counts['val'] = counts['val'] if num_val is None else num_val
        result[task] = counts
        for split, number in counts.items():
            most = SIZES['demo'][task][split] if task == 'classification' else None
            if number < 1 or (most and number > most):
                limit = f'1 to {most}, as many as there are digits' if most else 'at least 1'
                raise ValueError(f'{number} {split} pictures are asked for {task}; it must be {limit}')
    return result


def build(out: Path, wanted: dict[str, Counts], seed: int = 0) -> list[Report]:
    """Bring the sets under `out` to what is wanted. A set that was made with the same arguments is left as it is.

    What else lies in a set's folder is no part of the set: it is left alone, and so is then a folder that would have to
    be made anew.

    Each set is written under a temporary name and renamed when it is complete, so whatever ends this process, a set's
    own name never holds a half one.

    Args:
        out: the folder that holds the sets; made if it is not there.
        wanted: what `plan` gave.
        seed: decides everything that is random; the same seed gives the same bytes, and more pictures leave the first
            ones as they are. How digits and photographs are split does not depend on it.

    Returns:
        A report for each wanted set.

    Raises:
        ValueError: a negative seed, or a folder that holds files which this function has not written.
        FileNotFoundError: a package that carries the images is not installed.
        OSError: the folder cannot be written.
    """
    if seed < 0:
        raise ValueError(f'the seed is {seed}; it must be 0 or more')
    _refuse_foreign(out, wanted)
    manifests = {task: _manifest(task, counts, seed) for task, counts in wanted.items()}
    missing = [task for task in wanted if not _is_current(out / FOLDERS[task], manifests[task])]
    for task in missing:
        _refuse_strays(out / FOLDERS[task])
    made: dict[str, Report] = {}
    if missing:
        out.mkdir(parents=True, exist_ok=True)
        _remove_stale(out)
        sources = load_sources(with_photographs=missing != ['classification'])
        groups: dict[tuple[str, int, int], dict[str, Counts]] = {}
        for task in missing:
            counts = wanted[task]
            groups.setdefault((STREAMS[task], counts['train'], counts['val']), {})[task] = counts
        for group in groups.values():
            made |= _build_group(out, group, seed, sources)
    return [made.get(task) or _report(task, out, counts, 'kept', 0.0) for task, counts in wanted.items()]


def _build_group(out: Path, group: dict[str, Counts], seed: int, sources: Sources) -> dict[str, Report]:
    """Build sets of the same pictures, which are composed once."""
    start = time.monotonic()
    parts = {task: out / f'.{FOLDERS[task]}-{uuid.uuid4().hex[:8]}{_PART}' for task in group}
    try:
        fill(parts, next(iter(group.values())), seed, sources)
        reports = {}
        for task, counts in group.items():
            manifest = _manifest(task, counts, seed)
            content = json.dumps(manifest | {'files': sorted(_files(parts[task]))})
            (parts[task] / MANIFEST).write_text(content, encoding='ascii')
            state = _publish(parts[task], out / FOLDERS[task], manifest)
            reports[task] = _report(task, out, counts, state, time.monotonic() - start)
        return reports
    finally:
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)


def _manifest(task: str, counts: Counts, seed: int) -> dict[str, Any]:
    numbers = {'seed': seed, 'train': counts['train'], 'val': counts['val']}
    return {'made_by': 'make_tiny', 'version': VERSION, 'task': task, **numbers}


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a set that `build` has made, else None."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get('made_by') == 'make_tiny' else None


def _is_current(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether the folder holds this very set, with every file that was written; others do not matter."""
    found = _read_manifest(folder) or {}
    noted = found.pop('files', None)
    if found != manifest:
        return False
    there = _files(folder) - {MANIFEST}
    # Manifests of an earlier day tell only how many files were written.
    return there.issuperset(noted) if isinstance(noted, list) else noted == len(there)


def _refuse_strays(folder: Path) -> None:
    """A set is removed only when its folder holds nothing but what was written into it."""
    found = _read_manifest(folder)
    if found is None:
        return
    noted, there = found.get('files'), _files(folder) - {MANIFEST}
    strays = sorted(there.difference(noted)) if isinstance(noted, list) else []
    if strays:
        more = f' and {len(strays) - 1} more' if len(strays) > 1 else ''
        raise ValueError(
            f'{folder} has to be made anew, and holds what this tool has not written: {strays[0]}{more}; '
            'move that away or choose another --out'
        )
    if not isinstance(noted, list) and noted != len(there):
        raise ValueError(
            f'{folder} has to be made anew, and holds {len(there)} files where this tool had written {noted}; '
            'remove the folder or choose another --out'
        )


def _refuse_foreign(out: Path, wanted: dict[str, Counts]) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is not a folder; choose another --out')
    for task in wanted:
        folder = out / FOLDERS[task]
        empty = folder.is_dir() and not any(folder.iterdir())
        if os.path.lexists(folder) and not empty and _read_manifest(folder) is None:
            raise ValueError(f'{folder} was not made by this tool; move it away or choose another --out')
    entries = [entry for entry in out.iterdir() if not entry.name.startswith('.')] if out.is_dir() else []
    ours = [entry for entry in entries if entry.name in FOLDERS.values() and _read_manifest(entry) is not None]
    if entries and not ours:
        raise ValueError(
            f'{out} holds what this tool has not made ({entries[0].name}); choose an empty folder for --out'
        )


def _publish(part: Path, final: Path, manifest: dict[str, Any]) -> str:
    """Give a complete set its own name; what had that name before goes away."""
    state = 'remade' if _read_manifest(final) else 'made'
    if state == 'remade' and not _is_current(final, manifest):
        _refuse_strays(final)
        old = part.with_name(f'{part.name}.old{_PART}')
        os.rename(final, old)
        shutil.rmtree(old, ignore_errors=True)
    try:
        os.rename(part, final)
    except OSError:
        if not _is_current(final, manifest):
            raise
        return 'kept'  # another process has made the same set in the meantime
    return state


def _remove_stale(out: Path) -> None:
    """Remove what killed processes have left unfinished."""
    for part in out.glob(f'.*{_PART}'):
        if time.time() - part.stat().st_mtime > _STALE:
            shutil.rmtree(part, ignore_errors=True)


def _report(task: str, out: Path, counts: Counts, state: str, seconds: float) -> Report:
    folder = out / FOLDERS[task]
    files, size = _measure(folder)
    return Report(task, folder, counts, state, files, size, seconds)


def _files(folder: Path) -> set[str]:
    """Whatever a folder holds but folders, at any depth, by its path within; a link to a folder is not followed."""
    found: set[str] = set()
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found.update(Path(place, name).relative_to(folder).as_posix() for name in (*names, *links))
    return found


def _measure(folder: Path) -> tuple[int, int]:
    """How many files a folder holds, at any depth, and their bytes."""
    files = [path for path in folder.rglob('*') if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)
