#!/usr/bin/env python3
"""Write what is derived from the metafiles: the header of every leaf config and the tables in the Markdown files.

The numbers live in ``configs/<task>/metafile.yml`` alone. This script copies them to

- the comment block that opens ``configs/<task>/<leaf>.py``, up to its first blank line;
- Markdown tables in ``README.md``, ``docs/*.md`` and ``configs/*/README.md``, between the lines
  ``<!-- table: KIND TASK -->`` and ``<!-- end table -->``, where KIND is ``published`` (rows of the authors' tables),
  ``ours`` (rows that are in none of them, without a result) or ``measured`` (figures of this repository), and TASK is a
  folder of ``configs``.

``--check`` writes nothing, prints the first line that differs in each stale file, and exits with 1.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

# A clone need not be installed for this.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from moganet.metafiles import Model, metrics_of, read_metafiles

REPO = Path(__file__).resolve().parents[2]
FIRST_LINE = '# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.'
BEGIN = re.compile(r'^<!-- table: (\w+) (\w+) -->$')
END = '<!-- end table -->'
KINDS = ('published', 'ours', 'measured')


def load_models(repo: Path) -> dict[str, list[Model]]:
    """Read every metafile that ``model-index.yml`` imports.

    Returns:
        The task's folder name to its models, in the metafile's order.

    Raises:
        FileNotFoundError: an imported metafile is missing.
        ValueError: a model names a config outside its task's folder or one that does not exist, or a leaf config has
            no model.
    """
    models = read_metafiles(repo)
    for task, of_task in models.items():
        entry = f'configs/{task}/metafile.yml'
        named = {model['Config'] for model in of_task}
        leaves = {leaf.relative_to(repo).as_posix() for leaf in (repo / 'configs' / task).glob('*.py')}
        for config in sorted(named - leaves):
            raise ValueError(f'{entry} names {config}, which is not a config in configs/{task}')
        for config in sorted(leaves - named):
            raise ValueError(f'{config} has no entry in {entry}; add one with its Name, Config and Metadata')
    return models


def kind_of(model: Model) -> str:
    """Tell ``published`` (in the authors' tables), ``ours`` (in none of them) and ``measured`` (our figures) apart."""
    if 'Measured' in model:
        return 'measured'
    return 'ours' if model.get('Note', '').startswith('ours: ') else 'published'


def size_of(model: Model) -> str:
    """The model's parameters and multiply-adds in words."""
    data = model['Metadata']
    flops = f', {_count(data["FLOPs"], 1e9)} G multiply-adds at {data["Input"]}' if 'FLOPs' in data else ''
    return f'{_count(data["Parameters"], 1e6)} M parameters{flops}'


def header(model: Model) -> list[str]:
    """The comment lines that open a leaf config."""
    data = model['Metadata']
    figures = ', '.join(f'{name} {value}' for name, value in metrics_of(model).items())
    each = data['Batch Size'] // data['Processes']
    memory = _memory(model)
    if kind_of(model) == 'measured':
        time = f', after {data["Training Minutes"]} minutes' if 'Training Minutes' in data else ''
        where = f'{data["Training Data"]}{time} on {data["Training Resources"]}'
        lines = [
            f'Measured here: {figures} on {where}.' if figures else 'Not measured yet.',
            f'Command: {model["Measured"]["Command"]}',
            f'Size: {size_of(model)}. Processes: {data["Processes"]}, batch {each} each.',
        ]
    else:
        recipe = model['Recipe']
        precision = f', in {recipe["Precision"]}: --amp {recipe["Precision"]}' if 'Precision' in recipe else ''
        lines = [
            f"Expected: {figures} on {data['Training Data']} (the authors' figures)."
            if figures
            else 'No result was published, and none is claimed.',
            f'Size: {size_of(model)}. GPUs: {data["Processes"]}, batch {each} each, memory {memory}.',
            f'Recipe: {recipe["Source"]} ({recipe["Framework"]}{precision}).',
        ]
        lines += [f'Released weights: {_described(released)}.' for released in model.get('Released', [])]
        lines += [f'{key}: {model[key]}.' for key in ('Corrected', 'Note') if key in model]
    wrapped = [
        textwrap.wrap(line, 116, subsequent_indent='  ', break_on_hyphens=False, break_long_words=False)
        for line in lines
    ]
    return [FIRST_LINE] + [f'# {part}' for parts in wrapped for part in parts]


def _memory(model: Model) -> str:
    """What a process's training step takes: as published, or the tensors alone, counted here."""
    data, counted = model['Metadata'], model.get('Memory')
    if 'Training Memory (GB)' not in data:
        return 'not counted' if kind_of(model) == 'ours' else 'not published'
    figure = f'{data["Training Memory (GB)"]} GB'
    if counted is None:
        return figure
    return (
        f'{figure} of tensors by get_memory.py ({counted["Without Checkpointing"]} GB with '
        f'model.backbone.with_cp=False, {counted["With Checkpointing"]} GB with True)'
    )


def _described(released: dict[str, Any]) -> str:
    """A released file's name, and what its tensors do not tell."""
    ema = {True: 'EMA', False: 'no EMA'}.get(released['EMA'], 'EMA unknown')
    times = released['Gate Activation']
    gate = 'how often the gate is activated unknown' if times == 'unknown' else f'gate activated {times}'
    return f'{released["URL"].rsplit("/", 1)[-1]} (written by {released["Written By"]}, {gate}, {ema})'


def with_header(text: str, model: Model) -> str:
    """A leaf config's text with its header put in place; a header is what stands before the first blank line."""
    if text.startswith(FIRST_LINE):
        text = text.partition('\n\n')[2]
    return '\n'.join(header(model)) + '\n\n' + text.lstrip('\n')


def table(models: list[Model], kind: str, folder: str) -> list[str]:
    """A Markdown table of the models of one kind.

    Args:
        models: one task's models.
        kind: one of :data:`KINDS`.
        folder: where the Markdown file lies, relative to the repository, for the links to the configs.
    """
    chosen = [model for model in models if kind_of(model) == kind]
    names = list(dict.fromkeys(name for model in chosen for name in metrics_of(model)))
    head = ['config', 'params (M)', *([] if kind == 'measured' else ['MACs (G)']), *names]
    head += {
        'published': ['weights', 'gate activated'],
        'ours': ['GPUs x batch', 'GB of tensors', 'with_cp'],
        'measured': ['minutes', 'on'],
    }[kind]
    rows = [head, ['---'] * len(head)]
    for model in chosen:
        data, metrics = model['Metadata'], metrics_of(model)
        row = [f'[{model["Name"]}]({os.path.relpath(model["Config"], folder)})', _count(data['Parameters'], 1e6)]
        if kind != 'measured':
            row.append(_count(data['FLOPs'], 1e9) if 'FLOPs' in data else '-')
        row += [str(metrics.get(name, '-')) for name in names]
        if kind == 'published':
            released = model.get('Released', [])
            row.append(', '.join(f'[{item["Written By"]}]({item["URL"]})' for item in released) or 'none')
            row.append(', '.join(item['Gate Activation'] for item in released) or '-')
        elif kind == 'ours':
            counted = model.get('Memory', {})
            row.append(f'{data["Processes"]} x {data["Batch Size"] // data["Processes"]}')
            row += [str(counted.get(f'{word} Checkpointing', '-')) for word in ('Without', 'With')]
        else:
            row += [str(data.get('Training Minutes', '-')), data['Training Resources']]
        rows.append(row)
    remarks = [
        f'- `{model["Name"]}`: {model[key]}.' for model in chosen for key in ('Corrected', 'Note') if key in model
    ]
    return ['| ' + ' | '.join(row) + ' |' for row in rows] + ([''] + remarks if remarks else [])


def with_tables(text: str, models: dict[str, list[Model]], path: str) -> str:
    """A Markdown file's text with every marked table filled in.

    Raises:
        ValueError: a marker names an unknown kind or task, or is never closed.
    """
    lines: list[str] = []
    marker = ''
    for number, line in enumerate(text.split('\n'), 1):
        begin = BEGIN.match(line)
        if begin and not marker:
            kind, task = begin.groups()
            if kind not in KINDS or task not in models:
                raise ValueError(
                    f'{path}:{number}: no table "{kind} {task}"; kinds are {", ".join(KINDS)}, '
                    f'tasks are {", ".join(models)}'
                )
            marker = f'{path}:{number}'
            lines += [line, *table(models[task], kind, os.path.dirname(path) or '.')]
        elif line == END:
            marker = ''
        if not marker:
            lines.append(line)
    if marker:
        raise ValueError(f'{marker}: the table is not closed; add a line "{END}"')
    return '\n'.join(lines)


def generate(repo: Path) -> dict[Path, str]:
    """Every generated file's path and the text it should have."""
    models = load_models(repo)
    wanted = {
        repo / model['Config']: with_header((repo / model['Config']).read_text(encoding='utf-8'), model)
        for of_task in models.values()
        for model in of_task
    }
    for path in [repo / 'README.md', *sorted(repo.glob('docs/*.md')), *sorted(repo.glob('configs/*/README.md'))]:
        if path.is_file():
            text = path.read_text(encoding='utf-8')
            wanted[path] = with_tables(text, models, path.relative_to(repo).as_posix())
    return wanted


def first_difference(found: str, wanted: str) -> str:
    """The first line that differs, as ``line N: found ..., expected ...``."""
    old, new = found.split('\n'), wanted.split('\n')
    size = max(len(old), len(new))
    pairs = zip(old + ['<end>'] * (size - len(old)), new + ['<end>'] * (size - len(new)))
    number, a, b = next((n, a, b) for n, (a, b) in enumerate(pairs, 1) if a != b)
    return f'line {number}: found {a!r}, expected {b!r}'


def main(argv: list[str] | None = None, repo: Path = REPO) -> int:
    """Write or check the generated files.

    Returns:
        0 when all is as it should be, 1 when ``--check`` found stale files, 2 when a metafile or marker is wrong.
    """
    parser = argparse.ArgumentParser(description='Write config headers and Markdown tables from the metafiles.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit with 1 when a file is stale')
    args = parser.parse_args(argv)
    try:
        wanted = generate(repo)
    except KeyError as error:
        print(f'error: an entry of a metafile has no key {error}', file=sys.stderr)
        return 2
    except (FileNotFoundError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    stale = {path: text for path, text in wanted.items() if path.read_text(encoding='utf-8') != text}
    for path, text in stale.items():
        name = path.relative_to(repo).as_posix()
        if args.check:
            difference = first_difference(path.read_text(encoding='utf-8'), text)
            print(f'stale: {name}: {difference}; run python tools/misc/generate_docs.py', file=sys.stderr)
        else:
            path.write_text(text, encoding='utf-8')
            print(f'written: {name}')
    return 1 if args.check and stale else 0


def _count(value: float, unit: float) -> str:
    """A count in units of ``unit`` with no more digits than the metafile gives, and at most two after the point."""
    return f'{round(value / unit, 2):.10g}'


if __name__ == '__main__':
    sys.exit(main())
