"""Whether a checkpoint is what its row of the zoo says: it fills the model, of that size, and gives that result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import compat
from ..apis import get_model
from ..checkpoints import Checkpoint, MisfitError, open_checkpoint
from ..checkpoints.report import as_columns, describe
from ..checkpoints.zoo import Row, find, find_row, list_files, recommended
from .config_file import read_config
from .data_check import check_data
from .launch import TestOptions, finish, prepare_testing, start

# What the metafiles call a metric, and what the toolboxes do; and what brings theirs to the metafiles' unit.
METRICS = {
    'Top 1 Accuracy': ('accuracy/top1', 1),
    'Top 5 Accuracy': ('accuracy/top5', 1),
    'box AP': ('coco/bbox_mAP', 100),
    'box AP50': ('coco/bbox_mAP_50', 100),
    'mask AP': ('coco/segm_mAP', 100),
    'mIoU': ('mIoU', 1),
    'mAcc': ('mAcc', 1),
    'AP': ('coco/AP', 100),
    'AP@0.5': ('coco/AP .5', 100),
    'AP@0.75': ('coco/AP .75', 100),
    'AR': ('coco/AR', 100),
    'MPJPE (mm)': ('MPJPE_all', 1),
}
# The figures are printed to a tenth of a per cent. Beside their rounding, another decoder of JPEG, another library that
# resizes, and another processor move a metric. How much has not been measured; a tenth is 50 pictures of ImageNet.
_ROUNDING = 0.05
MARGIN = 0.1

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """A file to be verified.

    Attributes:
        row: what it is held to.
        given: the file: a path, or its name in the zoo.
        judged: whether the row's results are of this file, rather than of another one that was released for the row.
    """

    row: Row
    given: str
    judged: bool = True


def cases(names: Sequence[str], every: bool, checkpoint: str | None) -> list[Case]:
    """Return the files that a command line names.

    Args:
        names: rows, released files, aliases; or patterns of released files' names, as in a shell.
        every: all released files.
        checkpoint: a file of the user's own, for the one row of ``names``.

    Raises:
        ValueError: nothing is named, or too much.
        KeyError: nothing is called so; the message names the nearest.
    """
    if checkpoint is not None:
        if every or len(names) != 1:
            raise ValueError(f'--checkpoint {checkpoint}: give the one name of the model that it is of, and no --all')
        return [Case(find_row(names[0]), checkpoint)]
    if every == bool(names):
        raise ValueError('which files? Give names or patterns, such as moganet-tiny_in1k; or --all, and no name')
    found: list[Case] = []
    for name in names or ['*']:
        chosen = list_files(name) if any(sign in name for sign in '*?[') else [find(name).name]
        if not chosen:
            raise KeyError(f"no released file's name fits {name!r}; quote a pattern, and end it with *")
        found += [_released(file) for file in chosen]
    return list(dict.fromkeys(found))


def _released(name: str) -> Case:
    row = find_row(name)
    return Case(row, name, recommended(row.name) == name)


def verify(case: Case, options: dict[str, Any], work_dir: str | None, tell: Tell) -> bool:
    """Load a file into its row's model, count it, and evaluate it if the data are there.

    Args:
        case: the file.
        options: ``--cfg-options`` of the evaluation, such as where the data are.
        work_dir: where the evaluation writes its log.
        tell: what is given each part of the report.

    Returns:
        Whether nothing differs from the row.

    Raises:
        ValueError, KeyError, FileNotFoundError: the file cannot be had or read, or an option is wrong.
    """
    compat.silence_noise()
    checkpoint = open_checkpoint(case.given)
    tell(as_columns([('name', f'{case.given}, for {case.row.name}'), *describe(checkpoint)]))
    try:
        same = _check_size(case.row, checkpoint, tell)
    except MisfitError as error:
        tell(_line('differs', str(error)))
        return False
    missing = _missing_data(case.row, options) if case.row.metrics else 'the metafile has no result of this row'
    if missing:
        tell(_line('metric', f'not measured: {missing}'))
    else:
        same = _check_metrics(case, checkpoint, options, work_dir, tell) and same
    tell(_line('verified' if same else 'differs', f'{case.given}{", but for its metric" if missing else ""}'))
    return same


def _line(title: str, text: str) -> str:
    """Return a line that stands below those of :func:`describe`."""
    return f'{title:<10}  {text}'


def _check_size(row: Row, checkpoint: Checkpoint, tell: Tell) -> bool:
    """Load a file into the model of its row and compare the number of parameters."""
    model = get_model(str(row.config), pretrained=checkpoint)
    found = sum(parameter.numel() for parameter in model.parameters())
    same = found == row.parameters
    report: Any = model.load_report
    told = 'as in the metafile' if same else f'and the metafile has {row.parameters:,}'
    tell(_line('loaded', f'{report.fit.filled} of {report.fit.expected} tensors'))
    tell(_line('parameters', f'{found:,}, {told}'))
    return same


def _missing_data(row: Row, options: dict[str, Any]) -> str:
    """Return what is missing of the test data, or nothing."""
    try:
        check_data(read_config(str(row.config), options), ('test',))
    except FileNotFoundError as error:
        return str(error)
    return ''


def _check_metrics(
    case: Case, checkpoint: Checkpoint, options: dict[str, Any], work_dir: str | None, tell: Tell
) -> bool:
    """Evaluate as ``tools/test.py`` does, and compare."""
    twice = checkpoint.weights.gate_act_twice
    gate = {} if twice is None else {'model.backbone.gate_act_twice': twice}
    folder = work_dir or str(Path('work_dirs', 'verify', case.row.name))
    test = TestOptions(
        str(case.row.config), work_dir=folder, cfg_options={**gate, **options}, checkpoint=str(checkpoint.path)
    )
    runner = start(prepare_testing(test))
    measured = runner.test()
    finish()
    lines, same = compared(case.row.metrics, measured)
    if not case.judged:
        note = f"{recommended(case.row.name)} is the file of the metafile's figures; another file is not held to them"
        lines.append(('note', note))
    tell('\n' + as_columns(lines))
    return same or not case.judged


def compared(figures: Mapping[str, float], measured: Mapping[str, Any]) -> tuple[list[tuple[str, str]], bool]:
    """Compare measured metrics with the metafile's figures.

    Args:
        figures: of the metafile, in its units.
        measured: as a toolbox gives them.

    Returns:
        Title and text of a line for each figure, and whether all are as they should be; a figure whose metric was not
        computed is not.
    """
    lines, same = [], True
    for name, figure in figures.items():
        key, factor = METRICS[name]
        if key not in measured:
            lines.append((name, f'{figure} in the metafile; {key} was not computed'))
            same = False
            continue
        found = float(measured[key]) * factor
        close = abs(found - figure) <= _ROUNDING + MARGIN + 1e-9
        within = f'{"" if close else "not "}within {_ROUNDING} of rounding and {MARGIN}'
        lines.append((name, f'{found:.2f}, {figure} in the metafile: {"the same" if close else "another"}, {within}'))
        same = same and close
    return lines, same
