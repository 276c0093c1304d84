"""Pictures as a config's model is given them: through its own test pipeline and its own normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from torch import Tensor

from .data_check import check_data
from .data_inspection import reading

_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
_NUMBER = 2


def test_pictures(cfg: Any, scope: str, model: Any, number: int = _NUMBER) -> list[Tensor]:
    """Return the first pictures of a config's test data.

    Args:
        cfg: the config, its types checked.
        scope: its toolbox.
        model: built of it; its data preprocessor normalises.
        number: how many at most.

    Returns:
        Each ``(1, C, H, W)``, of whatever sizes.

    Raises:
        ValueError: the data are not there or cannot be read; the message tells of ``--images``.
    """
    hint = 'give pictures for the check: --images FILE ... or a folder'
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    if not dataset:
        raise ValueError(f'the config has no test data; {hint}')
    try:
        check_data(cfg, ('test',))
    except FileNotFoundError as error:
        raise ValueError(f'{hint}. The test data of the config are not here: {error}') from error
    init_default_scope(scope)
    with reading('the test data'):
        built = DATASETS.build(deepcopy(dataset))
        samples = [built[place] for place in range(min(number, len(built)))]
    if not samples:
        raise ValueError(f'the test data of the config are empty; {hint}')
    return [normalised(model, sample) for sample in samples]


test_pictures.__test__ = False  # type: ignore[attr-defined]  # the name does not make it a test for pytest


def given_pictures(cfg: Any, scope: str, model: Any, images: Sequence[str], number: int = _NUMBER) -> list[Tensor]:
    """Return pictures of files that are not in the config's data; arguments and errors as in :func:`test_pictures`.

    Args:
        images: files, or folders of them.

    Raises:
        FileNotFoundError: there is no such file, or no picture in a folder.
        ValueError: the config's test pipeline does not take them.
    """
    files = [file for name in images for file in _files(name)][:number]
    init_default_scope(scope)
    pipeline = [TRANSFORMS.build(step) for step in _without_truth(_test_pipeline(cfg))]
    found = []
    for file in files:
        try:
            sample: Any = _described(file, scope, cfg)
            for step in pipeline:
                sample = step(sample)
        except Exception as error:  # whatever a step raises about what it is given
            line = ' '.join(str(error).split())[:300]
            raise ValueError(
                f'--images {file}: the test pipeline of the config does not take it: {type(error).__name__}: {line}'
            ) from error
        found.append(normalised(model, sample))
    return found


def normalised(model: Any, sample: Any) -> Tensor:
    """Return the picture of a data set's sample as the model's backbone gets it, ``(1, C, H, W)``."""
    inputs, truth = sample['inputs'], sample.get('data_samples')
    if isinstance(inputs, (list, tuple)):  # of test-time augmentation: the first
        inputs, truth = inputs[0], truth and truth[0]
    data = {'inputs': [inputs], 'data_samples': [truth]}
    given: Tensor = model.data_preprocessor(data, False)['inputs']
    return given.float().cpu()


def _files(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f'--images {name}: there is no such file or folder')
    found = sorted(file for file in path.rglob('*') if file.suffix.lower() in _SUFFIXES)
    if not found:
        raise FileNotFoundError(f'--images {name}: no picture is in this folder ({", ".join(_SUFFIXES)})')
    return found


def _test_pipeline(cfg: Any) -> Any:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    if 'pipeline' not in dataset:
        raise ValueError('the config has no test_dataloader.dataset.pipeline, by which pictures are read')
    return deepcopy(dataset['pipeline'])


def _without_truth(pipeline: Any) -> list[Any]:
    """Return a pipeline without what reads annotations."""
    return [step for step in pipeline if 'LoadAnnotations' not in str(step['type'])]


def _described(file: Path, scope: str, cfg: Any) -> dict[str, Any]:
    """Return what a toolbox's pipeline begins with; for pose the whole picture is the box."""
    described: dict[str, Any] = {'img_path': str(file), 'img_id': 0, 'sample_idx': 0}
    if scope != 'mmpose':
        return described
    import cv2
    import numpy as np

    picture = cv2.imread(str(file))
    if picture is None:
        raise ValueError('it is no picture')
    height, width = picture.shape[:2]
    box = np.array([[0, 0, width, height]], dtype=np.float32)
    return {**described, 'id': 0, 'bbox': box, 'bbox_score': np.ones(1, dtype=np.float32)}
