"""The categories of a file in COCO's format, beside the classes of a config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...names import did_you_mean
from .report import Findings

_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Categories:
    """The categories of a file: ``names`` by their ids, and ``labels``, the place of their class in the config."""

    names: dict[Any, str]
    labels: dict[Any, int]


def read_categories(records: list[Any], path: str, classes: Sequence[str] | None, findings: Findings) -> Categories:
    """Return the categories of a file and compare their names with the classes of a config.

    mmdet reads the categories whose names are classes, without a word about a class that is no category, and numbers
    them in the order of the file.

    Args:
        records: the file's list of categories.
        path: the file.
        classes: the classes of the config; None takes all categories.
        findings: where faults go, and the names of the classes.
    """
    names: dict[Any, str] = {}
    for index, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get('id'), (int, str)) or 'name' not in record:
            findings.fault('malformed', path, f'categories[{index}]', f'{record!r}: id and name needed')
        elif not isinstance(record['name'], str):
            told = f'name {record["name"]!r} is no text, so no class of a config is it'
            findings.fault('malformed', path, f'category {record["id"]}', told)
        elif record['id'] in names:
            findings.fault('duplicate', path, f'category {record["id"]}', f'{names[record["id"]]} has this id too')
        else:
            names[record['id']] = record['name']
    chosen = tuple(names.values()) if classes is None else tuple(classes)
    findings.classes = chosen
    if classes is not None:
        for id, name in _repeated(names):
            if name in chosen:
                told = f'another category is named {name!r} too, and every later class would be numbered one too high'
                findings.fault('duplicate', path, f'category {id}', told)
        _compare(list(dict.fromkeys(names.values())), list(chosen), path, findings)
    places = {name: place for place, name in enumerate(chosen)}
    return Categories(names, {id: places[name] for id, name in names.items() if name in places})


def _repeated(names: dict[Any, str]) -> Iterator[tuple[Any, str]]:
    seen: set[str] = set()
    for id, name in names.items():
        if name in seen:
            yield id, name
        seen.add(name)


def _compare(names: list[str], classes: list[str], path: str, findings: Findings) -> None:
    absent = [name for name in classes if name not in names]
    if classes and len(absent) == len(classes):
        told = f'none of the {len(classes)} classes of the config ({_some(classes)}) is a category of the file '
        told += f'({_some(names) or "it has none"}): training would see nothing; metainfo=dict(classes=...) names them'
        findings.fault('unknown-class', path, None, told + did_you_mean(classes[0], names))
        return
    spare = [name for name in names if name not in classes]
    for name in absent:
        told = f'no category of the file, which the toolbox passes over{did_you_mean(name, spare)}'
        findings.fault('unknown-class', path, f'class {name!r}', told)
    common = [name for name in classes if name in names]
    if common != [name for name in names if name in classes]:
        told = 'the config names its classes in another order than the file its categories; labels are numbered as in '
        findings.fault('class-order', path, None, f'{told}the file, so results would carry wrong names')


def _some(names: list[str]) -> str:
    return ', '.join(names[:_NAMES_SHOWN]) + (', ...' if len(names) > _NAMES_SHOWN else '')
