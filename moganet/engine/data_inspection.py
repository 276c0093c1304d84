"""From a config to the files of its data sets: which are looked at, and as what."""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS, init_default_scope

from .. import compat
from ..datasets.check import (
    CocoSource,
    Findings,
    FolderSource,
    LabelMapSource,
    Looker,
    check_coco,
    check_folders,
    check_label_maps,
    check_samples,
)
from .config_file import read_checked
from .data_check import check_data, datasets_of, is_remote
from .work_dir import ensure_writable

SPLITS = ('train', 'val', 'test')


def open_data(path: str, options: dict[str, Any], splits: Sequence[str] | None) -> tuple[Any, list[str]]:
    """Read and check a config as far as its data are concerned.

    Args:
        path: the config file.
        options: ``--cfg-options``.
        splits: which of :data:`SPLITS`; all that the config has when None.

    Returns:
        The config, whose scope is entered, and the splits.

    Raises:
        ValueError, KeyError, FileNotFoundError: the config is wrong, or a folder or file that it names is not there;
            told in one line.
    """
    compat.silence_noise()
    cfg, scope = read_checked(path, options, (), 'a look at its data')
    present = [split for split in SPLITS if (cfg.get(f'{split}_dataloader') or {}).get('dataset')]
    missing = [split for split in splits or () if split not in present]
    if missing or not present:
        asked = f'--split {missing[0]}: ' if missing else ''
        raise KeyError(f'{asked}{path} has no such data set; it has: {", ".join(present) or "none at all"}')
    init_default_scope(scope)
    chosen = [split for split in present if not splits or split in splits]
    check_data(cfg, tuple(chosen))
    return cfg, chosen


def check_out(out: str | None) -> Path | None:
    """Return the file that ``--out`` names, whose folder can be written.

    Raises:
        ValueError: it ends otherwise than .csv or .json, or cannot be written.
    """
    if out is None:
        return None
    if not out.endswith(('.csv', '.json')):
        raise ValueError(f'--out {out}: faults are written as CSV or JSON; give a name that ends in .csv or .json')
    file = Path(out).expanduser().absolute()
    ensure_writable(file.parent, '--out, in')
    return file


def check_workers(workers: int) -> None:
    """Refuse a number of threads below one.

    Raises:
        ValueError: it is.
    """
    if workers < 1:
        raise ValueError(f'--workers {workers}: at least 1 is needed')


def look_at_data(cfg: Any, splits: Sequence[str], looker: Looker) -> Iterator[Findings]:
    """Look at each data set of some splits of a config that :func:`open_data` has read.

    Data sets of several splits that read the same files are looked at once.
    """
    looked_at: list[tuple[str, dict[str, Any]]] = []
    for split in splits:
        for place, node in datasets_of(cfg[f'{split}_dataloader'].dataset, f'{split}_dataloader.dataset'):
            files = {key: value for key, value in node.items() if key != 'pipeline'}
            same = next((other for other, theirs in looked_at if theirs == files), None)
            if same:
                yield _untouched(place, node, f'the same files as {same}')
                continue
            looked_at.append((place, files))
            if is_remote(node):
                yield _untouched(place, node, 'not looked at: its files are read by a storage client, not from a disk')
            else:
                yield _look_at(place, node, looker)


def _untouched(place: str, node: dict[str, Any], why: str) -> Findings:
    return Findings(place, f'{node["type"]}; {why}', looked_at=False)


def _look_at(place: str, node: dict[str, Any], looker: Looker) -> Findings:
    findings = Findings(place, str(node['type']))
    dataset = _build(node, findings, lazy_init=True)
    if dataset is None:
        return findings
    for name, method, look in _KNOWN:
        if _reads_as(dataset, name, method):
            look(dataset, node, findings, looker)
            break
    else:
        findings.what += ', a kind that is not known in depth: its samples are looked at as it gives them'
        dataset = _build(node, findings)
        if dataset is not None:
            check_samples(dataset, findings, looker)
    if node.get('indices') is not None:
        findings.note('a run reads a part of it (indices); all of it was looked at')
    return findings


def _build(node: dict[str, Any], findings: Findings, **changes: Any) -> Any:
    """Build a data set without its pipeline; note a fault and return None when it cannot be built."""
    described = {**deepcopy(dict(node)), 'pipeline': [], **changes}
    cls = DATASETS.get(node['type']) if isinstance(node['type'], str) else node['type']
    accepted = inspect.signature(cls.__init__).parameters
    if 'download' in accepted:
        described['download'] = False
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        described = {key: value for key, value in described.items() if key in accepted or key in ('type', '_scope_')}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells how it reads
            return DATASETS.build(described)
    except Exception as error:  # whatever a class raises about its own files
        text = ' '.join(str(error).split())
        file = node.get('ann_file') or node.get('data_root') or findings.place
        findings.fault('malformed', file, None, f'{type(error).__name__}: {text}')
        return None


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Build a data set within it: whatever the class raises about its files is told in one line.

    Args:
        what: what the data set is called, such as ``--split train``.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells how it reads
            yield
    except Exception as error:
        told = ' '.join(str(error).split())
        raise ValueError(
            f'the data set of {what} cannot be read: {type(error).__name__}: {told}; '
            'tools/misc/check_dataset.py may say why'
        ) from error


def _reads_as(dataset: Any, name: str, method: str) -> bool:
    """Whether a data set is of a class, given by its full name, and reads its files by that class's own method.

    By name, so that no toolbox is imported for it.
    """
    classes = type(dataset).__mro__
    base = next((cls for cls in classes if f'{cls.__module__}.{cls.__qualname__}' == name), None)
    return base is not None and getattr(type(dataset), method) is getattr(base, method)


def _look_at_folders(dataset: Any, node: dict[str, Any], findings: Findings, looker: Looker) -> None:
    source = FolderSource(
        folder=dataset.img_prefix,
        ann_file=dataset.ann_file or '',
        classes=dataset.CLASSES,
        extensions=dataset.extensions,
        with_label=dataset.with_label,
    )
    findings.what += f', {source.ann_file or source.folder}'
    check_folders(source, findings, looker)


def _look_at_label_maps(dataset: Any, node: dict[str, Any], findings: Findings, looker: Looker) -> None:
    listed = bool(dataset.ann_file) and not Path(dataset.ann_file).is_dir()
    source = LabelMapSource(
        folder=dataset.data_prefix.get('img_path') or '',
        map_folder=dataset.data_prefix.get('seg_map_path') or '',
        suffix=dataset.img_suffix,
        map_suffix=dataset.seg_map_suffix,
        ann_file=dataset.ann_file if listed else '',
        classes=dataset.metainfo.get('classes') or (),
        reduce_zero_label=dataset.reduce_zero_label,
        label_map=dataset.label_map,
        ignore_index=dataset.ignore_index,
        trained_on=not dataset.test_mode,
    )
    findings.what += f', {source.ann_file or source.folder}'
    check_label_maps(source, findings, looker)


def _look_at_boxes(dataset: Any, node: dict[str, Any], findings: Findings, looker: Looker) -> None:
    filters = dataset.filter_cfg or {}
    source = CocoSource(
        ann_file=dataset.ann_file,
        folder=dataset.data_prefix.get('img') or '',
        classes=dataset.metainfo.get('classes'),
        needs_area=True,
        needs_masks=_loads_masks(node.get('pipeline')),
        trained_on=not dataset.test_mode,
        keeps_empty=not dataset.test_mode and not filters.get('filter_empty_gt'),
        min_size=0 if dataset.test_mode else int(filters.get('min_size', 0)),
    )
    findings.what += f', {source.ann_file}'
    if dataset.data_prefix.get('seg'):
        findings.note('the label maps of data_prefix.seg were not looked at')
    check_coco(source, findings, looker)


def _look_at_keypoints(dataset: Any, node: dict[str, Any], findings: Findings, looker: Looker) -> None:
    names = dataset.metainfo['keypoint_id2name']
    source = CocoSource(
        ann_file=dataset.ann_file,
        folder=dataset.data_prefix.get('img') or '',
        keypoints=[names[index] for index in range(len(names))],
        bbox_file=dataset.bbox_file or '',
        trained_on=not dataset.test_mode,
    )
    findings.what += f', {source.ann_file}'
    check_coco(source, findings, looker)


def _loads_masks(node: Any) -> bool:
    """Whether a pipeline loads the masks of instances."""
    if isinstance(node, dict):
        if str(node.get('type')).endswith('LoadAnnotations') and node.get('with_mask'):
            return True
        return any(_loads_masks(child) for child in node.values())
    return isinstance(node, (list, tuple)) and any(_loads_masks(child) for child in node)


_POSE = 'mmpose.datasets.datasets.base.base_coco_style_dataset'
# Classes by their full names, the method that makes a subclass read otherwise, and what looks at their files.
_KNOWN: tuple[tuple[str, str, Callable[[Any, dict[str, Any], Findings, Looker], None]], ...] = (
    ('mmpretrain.datasets.custom.CustomDataset', 'load_data_list', _look_at_folders),
    ('mmseg.datasets.basesegdataset.BaseSegDataset', 'load_data_list', _look_at_label_maps),
    ('mmdet.datasets.coco.CocoDataset', 'load_data_list', _look_at_boxes),
    (f'{_POSE}.BaseCocoStyleDataset', '_load_annotations', _look_at_keypoints),
)
