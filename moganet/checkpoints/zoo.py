"""The released models, by name: rows of the metafiles, and the files that were released for them.

A row's name is its config's without ``.py``. A released file is called after its row and its writer,
``moganet-tiny_8xb128_in1k_3rdparty-timm``; the row's own name means the file that its metafile recommends, and so does,
in classification, the name without GPUs x batch, ``moganet-tiny_in1k``.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..environment import carried
from ..metafiles import Model, metrics_of, read_metafiles

_GATE = {'once': False, 'twice': True, 'unknown': None}
_EMA = {True: True, False: False, 'unknown': None}
_GPUS_X_BATCH = re.compile(r'_\d+xb\d+(-|_)')


@dataclass(frozen=True)
class Released:
    """A released file.

    Attributes:
        name: what the zoo calls it.
        url: where it is.
        file_name: what its URL calls it.
        writer: who wrote it, as in the metafile: ``timm``, ``OpenMixup``, ``mmdet 2.x``.
        gate_act_twice: whether its model activates the gate twice; None where nobody knows.
        ema: whether what is evaluated is a moving average of the weights; None where nobody knows.
        model: the name of its row.
        config: its config, relative to ``configs``: ``classification/moganet-tiny_8xb128_in1k.py``.
        task: the folder of its config.
        metrics: the row's results, in per cent; a file of it that is not the recommended one may give others.
        note: what a user should be told about the name that was asked for; empty for most.
    """

    name: str
    url: str
    file_name: str
    writer: str
    gate_act_twice: bool | None
    ema: bool | None
    model: str
    config: str
    task: str
    metrics: Mapping[str, float] = field(hash=False)
    note: str = ''


@dataclass(frozen=True)
class Row:
    """A model of the zoo.

    Attributes:
        name: its config's, without ``.py``.
        config: the config.
        parameters: how many its model has.
        metrics: its results, in per cent; empty where there is none.
    """

    name: str
    config: Path
    parameters: int
    metrics: Mapping[str, float] = field(hash=False)


@dataclass(frozen=True)
class _Zoo:
    """What the metafiles below a folder hold: the rows, and released files by each kind of name."""

    root: Path
    rows: dict[str, Row]
    files: dict[str, Released]
    recommended: dict[str, Released]
    aliases: dict[str, Released]
    hub: dict[str, Released]

    def names(self) -> list[str]:
        """All names that mean a released file."""
        return [*self.files, *self.aliases, *self.recommended, *self.hub]


def find(name: str) -> Released:
    """Return the released file of a name.

    Args:
        name: a released file's, a row's, an alias, or one of the Hugging Face hub, ``MogaNet/moganet_tiny_224_in1k``.

    Raises:
        KeyError: no released file is called so; the message names the nearest.
    """
    zoo = _zoo()
    for table in (zoo.files, zoo.recommended, zoo.aliases, zoo.hub):
        if name in table:
            return table[name]
    if name in zoo.rows:
        raise KeyError(f'no file was released for {name}, only its config; {_offer(name, zoo.names(), zoo)}')
    raise KeyError(f'no released model is called {name!r}; {_offer(name, zoo.names(), zoo)}')


def is_known(name: str) -> bool:
    """Whether a released file, or a row, is called so."""
    zoo = _zoo()
    return name in zoo.rows or name in zoo.names()


def by_file_name(file_name: str) -> Released | None:
    """Return the released file of that file name, or None."""
    return next((file for file in _zoo().files.values() if file.file_name == file_name), None)


def by_url(url: str) -> Released | None:
    """Return the released file of that URL, or None."""
    return next((file for file in _zoo().files.values() if file.url == url), None)


def on_hub(name: str) -> Released | None:
    """Return the released file that stands for a page on the Hugging Face hub, or None for another name."""
    return _zoo().hub.get(name)


def released(task: str) -> list[Released]:
    """Return the released files of a task, in the metafile's order."""
    return [file for file in _zoo().files.values() if file.task == task]


def list_models(pattern: str = '*', pretrained: bool = False) -> list[str]:
    """Return the names of the rows that a pattern fits, in the metafiles' order.

    Args:
        pattern: as in a shell: ``*``, ``?``, ``[...]``; it has to fit the whole name.
        pretrained: only rows that have a released file.
    """
    zoo = _zoo()
    return fnmatch.filter(zoo.recommended if pretrained else zoo.rows, pattern)


def list_files(pattern: str = '*') -> list[str]:
    """Return the names of the released files that a pattern fits, as :func:`list_models` does for rows."""
    return fnmatch.filter(_zoo().files, pattern)


def recommended(row: str) -> str | None:
    """Return the name of the file that a row's results are of, as far as its metafile says; None where it has none."""
    file = _zoo().recommended.get(row)
    return file.name if file else None


def config_path(name: str) -> Path:
    """Return the config of a row, which may be given by any name that :func:`find` knows.

    Raises:
        KeyError: nothing is called so; the message names the nearest.
    """
    return find_row(name).config


def find_row(name: str) -> Row:
    """Return a row, which may be given by any name that :func:`find` knows.

    Raises:
        KeyError: nothing is called so; the message names the nearest.
    """
    zoo = _zoo()
    if name in zoo.rows:
        return zoo.rows[name]
    for table in (zoo.files, zoo.aliases, zoo.hub):
        if name in table:
            return zoo.rows[table[name].model]
    known = [*zoo.rows, *zoo.names()]
    raise KeyError(f'no model is called {name!r}; {_offer(name, known, zoo)}')


def _offer(name: str, known: list[str], zoo: _Zoo) -> str:
    """Return the nearest names, and how many there are."""
    folded = {word.lower(): word for word in known}
    near = [folded[word] for word in difflib.get_close_matches(name.lower(), folded, n=3)]
    hint = f'the nearest: {", ".join(near)}; ' if near else ''
    counts = f'{len(zoo.rows)} models, {len(zoo.recommended)} of them with {len(zoo.files)} released files'
    return f'{hint}there are {counts}; moganet.checkpoints.zoo.list_models() lists them'


def _zoo() -> _Zoo:
    return _read(carried('model-index.yml').parent)


@functools.cache
def _read(root: Path) -> _Zoo:
    """Read the metafiles below a folder, once a process.

    Raises:
        FileNotFoundError: a metafile is missing.
        ValueError: an entry of one cannot be used.
    """
    zoo = _Zoo(root, {}, {}, {}, {}, {})
    for task, models in read_metafiles(root).items():
        for model in models:
            name = model['Name']
            parameters = model['Metadata']['Parameters']
            zoo.rows[name] = Row(name, root / model['Config'], parameters, metrics_of(model))
            files = _released(task, model)
            for file in files:
                if file.name in zoo.files:
                    raise ValueError(f'metafile of {task}: {name} has two released files called {file.name}')
                zoo.files[file.name] = file
            if files:
                zoo.recommended[name] = _recommended(model, files)
                if task == 'classification':
                    # Where several rows come to one name, the first has it: the plain recipe precedes its variants.
                    zoo.aliases.setdefault(_GPUS_X_BATCH.sub('_', name, count=1), zoo.recommended[name])
                    zoo.hub.update(_on_hub(model, files))
    return zoo


def _released(task: str, model: Model) -> list[Released]:
    """Return the released files of a row, in the metafile's order."""
    files: list[Released] = []
    for entry in model.get('Released', []):
        writer, gate, ema = entry['Written By'], entry['Gate Activation'], entry['EMA']
        if gate not in _GATE or ema not in _EMA:
            raise ValueError(
                f'metafile of {task}: {model["Name"]} has a file with Gate Activation {gate!r} and EMA {ema!r}; '
                'once, twice or unknown, and true, false or unknown are allowed'
            )
        # The version or kind of a writer is left out: 'mmdet 2.x', 'mmpretrain port'.
        name = f'{model["Name"]}_3rdparty-{writer.split()[0].lower()}'
        if any(file.name == name for file in files):
            name += f'-gate-{gate}'
        files.append(
            Released(
                name=name,
                url=entry['URL'],
                file_name=entry['URL'].rpartition('/')[2],
                writer=writer,
                gate_act_twice=_GATE[gate],
                ema=_EMA[ema],
                model=model['Name'],
                config=model['Config'].removeprefix('configs/'),
                task=task,
                metrics=metrics_of(model),
            )
        )
    return files


def _recommended(model: Model, files: list[Released]) -> Released:
    for file in files:
        if file.url == model.get('Weights'):
            return file
    raise ValueError(f'metafile: the Weights of {model["Name"]} are none of its Released files')


def _on_hub(model: Model, files: list[Released]) -> dict[str, Released]:
    """Return what the authors call a row on the Hugging Face hub, and the file that stands for it.

    They have a page there for each model that they trained with timm, by its variant and the side of its pictures.
    """
    variant = model['Name'].partition('_')[0].replace('-', '_')
    side = str(model['Metadata'].get('Input', '')).partition('x')[0]
    name = f'MogaNet/{variant}_{side}_in1k'
    found = next((file for file in files if file.writer == 'timm'), None)
    if found is None:
        return {}
    known = f'as far as is known, {name} on the Hugging Face hub has a card and no weights'
    return {name: replace(found, note=f'{known}; those of the release are used: {found.url}')}
