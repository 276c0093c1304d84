"""What a look at a data set found: counts, notes and faults, and how they are told."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

# Every kind of fault by the name that is printed and that ``--ignore`` takes.
KINDS = {
    'missing-file': 'a picture or a label map is not there',
    'unreadable': 'a file is empty, torn or cannot be decoded',
    'wrong-size': 'a picture is of another size than its annotations say, or than its label map',
    'no-data': 'there is no picture at all, or none that can be trained on',
    'empty-picture': 'a training picture without annotations, which the config does not leave out',
    'bad-label': 'a label outside the classes',
    'unknown-class': 'a class of the config that the data do not have',
    'class-order': 'the same classes, numbered otherwise in the config than in the data',
    'bad-box': 'a box outside its picture or of no area',
    'bad-mask': 'a polygon or a run-length code that is malformed, or outside its picture',
    'bad-keypoints': 'keypoints of a wrong count, or that contradict themselves',
    'duplicate': 'an id, or a file in a list, that is there twice',
    'orphan': 'an annotation of a picture that is not in the file',
    'malformed': 'a record that lacks what the toolbox reads, or is of another type',
}
SCREEN_LIMIT = 5  # faults of a kind on the screen
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: its kind, the file, the id within the file (or nothing), and what it is."""

    kind: str
    file: str
    id: str
    text: str

    def __str__(self) -> str:
        return f'{self.file}{f" ({self.id})" if self.id else ""}: {self.text}'


@dataclass
class Findings:
    """What was found in one data set.

    Attributes:
        place: where the config names the data set: ``train_dataloader.dataset``.
        what: its type and what it was read from, for people.
        classes: the names of the classes; empty where the task has none, or the config does not say.
        per_class: how many annotations (pictures, in label maps and folders) each class has, by its number.
        pictures, annotations, empty: how many there are; ``empty`` counts pictures without annotations.
        notes: what is worth knowing and no fault.
        looked_at: False when ``what`` says why nothing was counted.
    """

    place: str
    what: str
    classes: Sequence[str] = ()
    per_class: Counter[int] = field(default_factory=Counter)
    pictures: int = 0
    annotations: int = 0
    empty: int = 0
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    looked_at: bool = True

    def fault(self, kind: str, file: str | Path, id: object, text: str) -> None:
        """Note a fault of one of :data:`KINDS`; an id of None means that the file has no ids."""
        if kind not in KINDS:
            raise KeyError(f'unknown kind of fault {kind!r}; known: {", ".join(KINDS)}')
        self.faults.append(Fault(kind, str(file), '' if id is None else str(id), text))

    def note(self, text: str) -> None:
        """Note what is no fault."""
        self.notes.append(text)

    def ignore(self, kinds: Collection[str]) -> None:
        """Turn faults of some kinds into one note a kind."""
        counts = Counter(fault.kind for fault in self.faults if fault.kind in kinds)
        self.faults = [fault for fault in self.faults if fault.kind not in kinds]
        self.notes += [f'{kind}: {count:,}, ignored as asked' for kind, count in counts.items()]

    def classes_without_any(self) -> list[str]:
        """Return the names of the classes that nothing is labelled with."""
        return [name for number, name in enumerate(self.classes) if not self.per_class[number]]

    def lines(self, limit: int = SCREEN_LIMIT) -> Iterator[str]:
        """Yield what is told on the screen, with at most ``limit`` faults of each kind.

        Bytes of a file's name that are no text are escaped.
        """
        yield from (line.encode(errors='backslashreplace').decode() for line in self._lines(limit))

    def _lines(self, limit: int) -> Iterator[str]:
        yield f'{self.place}: {self.what}'
        if self.looked_at:
            yield f'  {self._counts()}'
        yield from (f'  note: {note}' for note in self.notes)
        for kind, count in Counter(fault.kind for fault in self.faults).items():
            yield f'  {kind}: {count:,} ({KINDS[kind]})'
            of_kind = [fault for fault in self.faults if fault.kind == kind]
            yield from (f'    {fault}' for fault in of_kind[:limit])
            if count > limit:
                yield f'    and {count - limit:,} more'

    def _counts(self) -> str:
        told = f'pictures: {self.pictures:,}, annotations: {self.annotations:,}'
        if self.empty:
            told += f', pictures without any: {self.empty:,}'
        if self.classes:
            without = self.classes_without_any()
            names = ', '.join(without[:_NAMES_SHOWN]) + (', ...' if len(without) > _NAMES_SHOWN else '')
            told += f'; classes: {len(self.classes):,}, without any: {len(without)}{f" ({names})" if names else ""}'
        return told

    def to_dict(self) -> dict[str, Any]:
        """Return everything, as ``--out FILE.json`` writes it."""
        return {
            'place': self.place,
            'what': self.what,
            'looked_at': self.looked_at,
            'pictures': self.pictures,
            'annotations': self.annotations,
            'pictures_without_annotations': self.empty,
            'per_class': {name: self.per_class[number] for number, name in enumerate(self.classes)},
            'notes': self.notes,
            'faults': [asdict(fault) for fault in self.faults],
        }


def write_findings(path: Path, found: Sequence[Findings]) -> None:
    """Write all faults as CSV, one a row, or everything that was found as JSON, by the ending of the name."""
    if path.suffix == '.json':
        text = json.dumps([findings.to_dict() for findings in found], indent=1, ensure_ascii=False)
        path.write_text(text + '\n', encoding='utf-8', errors='backslashreplace')
        return
    with path.open('w', encoding='utf-8', errors='backslashreplace', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['place', *(item.name for item in fields(Fault))])
        for findings in found:
            writer.writerows([findings.place, *asdict(fault).values()] for fault in findings.faults)
