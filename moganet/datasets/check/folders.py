"""Pictures to classify: in a folder for each class, or in a list with a label for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...names import did_you_mean
from .list_file import numbered_lines
from .pictures import Looker, check_pictures
from .report import Findings


@dataclass(frozen=True)
class FolderSource:
    """Where the pictures are and how mmpretrain's CustomDataset and ImageNet label them.

    Attributes:
        folder: the folder of the pictures.
        ann_file: a list of ``name label`` below the folder; without one, each subfolder is a class.
        classes: the names in the order of the labels; None leaves them to the subfolders.
        extensions: endings of the names of pictures, in small letters.
        with_label: whether there are labels.
    """

    folder: str
    ann_file: str = ''
    classes: Sequence[str] | None = None
    extensions: tuple[str, ...] = ()
    with_label: bool = True


def check_folders(source: FolderSource, findings: Findings, looker: Looker) -> None:
    """Look at labels and pictures."""
    findings.classes = tuple(source.classes or ())
    if source.ann_file:
        pairs = list(_listed(source, findings))
    elif source.with_label:
        pairs = list(_in_class_folders(source, findings))
    else:
        pairs = [(path, None) for path in _pictures_below(Path(source.folder), source, findings)]
    findings.pictures = len(pairs)
    findings.annotations = sum(label is not None for _, label in pairs)
    findings.per_class = Counter(label for _, label in pairs if label is not None)
    if not pairs:
        findings.fault('no-data', source.ann_file or source.folder, None, f'no picture ({_endings(source)})')
    check_pictures(findings, looker, [path for path, _ in pairs])


def _listed(source: FolderSource, findings: Findings) -> Iterator[tuple[str, int | None]]:
    """Yield path and label of each line of a list; a line with a fault yields its picture all the same."""
    seen: dict[str, int] = {}
    for number, line in numbered_lines(source.ann_file, findings):
        id = f'line {number}'
        name, _, word = line.strip().rpartition(' ') if source.with_label else (line.strip(), '', '')
        if not name:
            wanted = 'a name and a label' if source.with_label else 'a name'
            findings.fault('malformed', source.ann_file, id, f'{line!r}: {wanted} needed')
            continue
        if name in seen:
            findings.fault('duplicate', source.ann_file, id, f'{name} is in line {seen[name]} too')
        seen.setdefault(name, number)
        label = _label(word, id, source, findings) if source.with_label else None
        yield os.path.join(source.folder, name), label


def _label(word: str, id: str, source: FolderSource, findings: Findings) -> int | None:
    try:
        label = int(word)
    except ValueError:
        hint = did_you_mean(word, source.classes or ())
        findings.fault('malformed', source.ann_file, id, f'label {word!r}: a whole number needed{hint}')
        return None
    count = len(source.classes) if source.classes is not None else None
    if label < 0 or (count is not None and label >= count):
        allowed = f'0 to {count - 1}' if count else 'at least 0'
        findings.fault('bad-label', source.ann_file, id, f'label {label}: {allowed} allowed')
        return None
    return label


def _in_class_folders(source: FolderSource, findings: Findings) -> Iterator[tuple[str, int | None]]:
    """Yield path and label of each picture; a label is the place of its folder in alphabetical order."""
    entries = list(os.scandir(source.folder))
    names = sorted(entry.name for entry in entries if entry.is_dir())
    beside = sum(entry.is_file() and entry.name.lower().endswith(source.extensions) for entry in entries)
    if beside:
        findings.note(f'{source.folder}: pictures beside the folders of the classes, which are not read: {beside:,}')
    if source.classes is None:
        findings.classes = tuple(names)
    else:
        _compare(names, source, findings)
    for label, name in enumerate(names):
        fits = label < len(findings.classes)
        for path in _pictures_below(Path(source.folder, name), source, findings):
            yield path, label if fits else None


def _compare(names: list[str], source: FolderSource, findings: Findings) -> None:
    """Compare subfolders with the classes of the config."""
    classes = list(source.classes or ())
    extra, absent = [n for n in names if n not in classes], [c for c in classes if c not in names]
    if len(names) != len(classes):
        # mmpretrain refuses to start then. Where folders have other names than classes, as in ImageNet, which one it is
        # cannot be told.
        named = len(extra) < len(names)
        for name in extra if named else ():
            findings.fault('bad-label', Path(source.folder, name), None, f'no class{did_you_mean(name, absent)}')
        for name in absent if named else ():
            findings.fault('unknown-class', source.folder, name, f'no folder of this class{did_you_mean(name, extra)}')
        if not named:
            told = f'{len(names)} folders for {len(classes)} classes'
            findings.fault('unknown-class', source.folder, None, told)
    elif not extra and names != classes:
        index = next(i for i, (name, given) in enumerate(zip(names, classes)) if name != given)
        told = f'label {index} is {names[index]!r} by the folders, in alphabetical order, '
        findings.fault('class-order', source.folder, None, f'{told}and {classes[index]!r} in the config')


def _pictures_below(folder: Path, source: FolderSource, findings: Findings) -> Iterator[str]:
    others = 0
    # As MMEngine: hidden files are left out, hidden folders are not, links to folders are followed.
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if name.startswith('.'):
                continue
            if name.lower().endswith(source.extensions):
                yield os.path.join(parent, name)
            else:
                others += 1
    if others:
        findings.note(f'{folder}: files left out, as their names end otherwise ({_endings(source)}): {others:,}')


def _endings(source: FolderSource) -> str:
    return f'looked for {" ".join(sorted(source.extensions))}'
