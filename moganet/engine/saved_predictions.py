"""Metrics from predictions that a test run saved."""

from __future__ import annotations

import os.path
import pickle
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, init_default_scope

from .. import compat
from ..names import missing_file
from .config_file import read_checked
from .data_check import check_data
from .data_inspection import reading


def evaluate_saved(path: str, options: dict[str, Any], predictions: str) -> dict[str, Any]:
    """Compute the test metrics of a config from predictions that ``tools/test.py --out`` saved.

    Args:
        path: the config file.
        options: ``--cfg-options``, such as another metric for ``test_evaluator``.
        predictions: the pickle, which is read by Python's own reader: open only files that you trust.

    Returns:
        Metric name to value.

    Raises:
        ValueError, KeyError, FileNotFoundError: the config or the file is wrong, or they do not belong together.
    """
    compat.silence_noise()
    cfg, scope = read_checked(path, options, ('test_dataloader', 'test_evaluator'), 'evaluation')
    saved = _read_predictions(predictions)
    check_data(cfg, ('test',))
    init_default_scope(scope)
    with reading('test_dataloader'):
        data = DATASETS.build(cfg.test_dataloader.dataset)
    if len(data) != len(saved):
        raise ValueError(
            f'{predictions} has predictions of {len(saved)} samples, and the test set of {path} has {len(data)}: give '
            'the config, and the --cfg-options, that they were made with'
        )
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = data.metainfo
    try:
        return dict(evaluator.offline_evaluate(saved))
    except (KeyError, TypeError, AttributeError, AssertionError, IndexError) as error:
        raise ValueError(
            f'{predictions} does not hold what the test_evaluator of {path} needs: {type(error).__name__}: {error}'
        ) from error


def _read_predictions(path: str) -> list[Any]:
    if not os.path.isfile(path):
        raise missing_file('file of predictions', path, '*.pkl')
    try:
        with open(path, 'rb') as file:
            saved = pickle.load(file)
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, ValueError) as error:
        raise ValueError(
            f'{path} cannot be read as a pickle ({type(error).__name__}: {error}); tools/test.py --out writes one'
        ) from error
    if not isinstance(saved, list) or not saved or not all(isinstance(sample, dict) for sample in saved):
        raise ValueError(f'{path} holds no list of predictions, one a sample; tools/test.py --out writes one')
    return saved
