"""The data of a run: a sample of them, read and augmented as in training."""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import time
from copy import deepcopy
from typing import Any

from mmengine.registry import DATASETS
from mmengine.runner import Runner

from ...randomness import derived_seed, preserved, seed_cpu
from ..data_check import check_data, datasets_of
from ..data_inspection import reading
from ..launch import splits_of_training
from .result import FAILED, OK, WARNING, words_of
from .subject import Subject

# Samples of each split: enough for a fault of the pipeline, of a path, of a disk; all files are check_dataset.py's.
SAMPLES = 8
_NO_LABEL = 255


def check_samples(subject: Subject) -> tuple[str, str]:
    """Build the data sets of training and validation, and have a few samples at random made of each.

    The training data are needed for a batch; where a sample of them is broken, they are there all the same.
    """
    subject.needs_config()
    seed = subject.options.seed or 0
    told, states = [], [OK]
    for split in splits_of_training(subject.cfg):
        try:
            check_data(subject.cfg, (split,))
            loader = _loader(subject.cfg[f'{split}_dataloader'], split, seed)
        except (ValueError, KeyError, FileNotFoundError) as error:
            told.append(words_of(error))
            states.append(FAILED)
            continue
        subject.loaders[split] = loader
        state, text = _look(loader.dataset, split, seed, _classes_of_model(subject.model))
        told.append(f'{split}: {text}')
        states.append(state)
    worst = FAILED if FAILED in states else WARNING if WARNING in states else OK
    return worst, '; '.join(told)


def _loader(described: Any, split: str, seed: int) -> Any:
    """Build a loader as the Runner does, without worker processes; nothing is downloaded.

    Raises:
        ValueError: its data set cannot be read.
    """
    described = deepcopy(dict(described))
    described.update(num_workers=0, persistent_workers=False, pin_memory=False)
    described.pop('prefetch_factor', None)
    for _, node in datasets_of(described['dataset'], ''):
        cls = DATASETS.get(node['type']) if isinstance(node['type'], str) else node['type']
        if 'download' in inspect.signature(cls.__init__).parameters:
            node['download'] = False
    with reading(f'{split}_dataloader'):
        return Runner.build_dataloader(described, seed=seed)


def _look(dataset: Any, split: str, seed: int, classes: dict[str, int]) -> tuple[str, str]:
    """Make some samples of a data set; return a state, and what was found."""
    number = len(dataset)
    if not number:
        return FAILED, 'no sample at all; tools/misc/check_dataset.py may say why'
    chosen = sorted(random.Random(seed).sample(range(number), min(SAMPLES, number)))
    broken, annotated, start = [], 0, time.perf_counter()
    for index in chosen:
        try:
            with preserved(), contextlib.redirect_stdout(io.StringIO()):
                seed_cpu(derived_seed(seed, index))
                annotated += is_annotated(dataset[index].get('data_samples'))
        except Exception as error:  # whatever a pipeline raises about a file
            broken.append(f'{_name(dataset, index)}: {words_of(error)}')
    each = (time.perf_counter() - start) / len(chosen)
    names = _classes_of_data(dataset)
    of_classes = f' of {len(names):,} classes' if names else ''
    made = f'{len(chosen) - len(broken)} of {len(chosen)} at random made, {each:.3f} s each'
    text = f'{number:,} samples{of_classes}, {made}'
    if broken:
        return FAILED, f'{text}; broken: {"; ".join(broken[:3])}; all faults are told by tools/misc/check_dataset.py'
    wrong = {part: allowed for part, allowed in classes.items() if names and allowed != len(names)}
    if wrong:
        parts = ', '.join(f'{part}.num_classes={allowed}' for part, allowed in wrong.items())
        return (FAILED if min(wrong.values()) < len(names) else WARNING), f'{text}; the model has {parts}'
    if split == 'train':
        text += f', {annotated} annotated'
        if not annotated:
            return WARNING, f'{text}: there may be nothing to learn; tools/misc/check_dataset.py counts all'
    return OK, text


def is_annotated(sample: Any) -> bool:
    """Whether a data sample of any of the four toolboxes has a truth: a label, an object, a labelled pixel or joint."""
    if sample is None:
        return False
    labels = sample.get('gt_instance_labels')
    if labels is not None and 'keypoint_weights' in labels:
        return bool(labels.keypoint_weights.any())
    if sample.get('gt_instances') is not None:
        return len(sample.gt_instances) > 0
    if sample.get('gt_sem_seg') is not None:
        return bool((sample.gt_sem_seg.data != _NO_LABEL).any())
    return sample.get('gt_label') is not None or sample.get('gt_score') is not None


def _name(dataset: Any, index: int) -> str:
    """Return the picture of a sample, as far as its data set tells it."""
    with contextlib.suppress(Exception):
        return str(dataset.get_data_info(index)['img_path'])
    return f'sample {index}'


def _classes_of_data(dataset: Any) -> tuple[str, ...]:
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    return tuple(classes) if isinstance(classes, (list, tuple)) else ()


def _classes_of_model(model: Any) -> dict[str, int]:
    """Return how many classes each head tells apart; a first stage tells objects from none, and has no classes."""
    found = {}
    for name, module in model.named_modules():
        number = getattr(module, 'num_classes', None)
        if isinstance(number, int) and 'head' in name and 'rpn' not in name:
            found[name] = number
    return found
