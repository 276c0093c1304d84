"""Name what a user probably meant."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from pathlib import Path

# A folder of pictures has too many names to compare.
_MANY = 1000


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name closest to ``word``, in any case of letters, or None when nothing is near."""
    folded = {name.lower(): name for name in sorted(known)}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or nothing when no known name is near."""
    name = nearest(word, known)
    return f'; did you mean {name!r}?' if name else ''


def slips(word: str, other: str) -> int:
    """Return how many slips of the finger turn one word into another: a letter more, less or wrong, two swapped."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, theirs in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != theirs))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == theirs:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def near_path(path: Path) -> Path | None:
    """Return an existing path that differs from a missing one by a slip in one part of it, or None.

    The part is the first that does not exist; what follows it has to be there as it was given.
    """
    for parent in path.parents:
        if not parent.is_dir():
            continue
        rest = path.relative_to(parent)
        try:
            names = [entry.name for entry in itertools.islice(parent.iterdir(), _MANY)]
        except OSError:  # a folder that may not be listed
            return None
        name = nearest(rest.parts[0], names, cutoff=0.75)
        found = parent.joinpath(name or '', *rest.parts[1:])
        return found if name and found.exists() else None
    return None


def near_files(path: Path, pattern: str, limit: int = 3) -> list[str]:
    """Return up to ``limit`` files whose names are closest to that of a missing one.

    It searches the nearest folder on the way to ``path`` that exists, and below it.
    """
    folder = path.expanduser().parent
    while not folder.is_dir():
        folder = folder.parent
    if folder == folder.parent or (not path.is_absolute() and folder == Path('.') and path.parent != Path('.')):
        # Nothing of the given path exists: a search of the whole disk, or of an unrelated folder, helps nobody.
        return []
    names = {file.name: str(file) for file in sorted(folder.rglob(pattern))}
    close = difflib.get_close_matches(path.name, names, n=limit, cutoff=0.5)
    return [names[name] for name in close]


def missing_file(what: str, path: str | Path, pattern: str) -> FileNotFoundError:
    """Return the error for a file that is not there, naming the nearest ones that are."""
    near = near_files(Path(path), pattern)
    hint = f'; near it: {", ".join(near)}' if near else f' (looked from {Path.cwd()})'
    return FileNotFoundError(f'no such {what}: {path}{hint}')
