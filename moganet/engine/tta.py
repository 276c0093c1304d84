"""Test-time augmentation for ``--tta``."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

# The toolboxes' own test.py fill in these where a config has none.
_DEFAULT_MODELS: dict[str, dict[str, Any]] = {
    'mmpretrain': {'type': 'AverageClsScoreTTA'},
    'mmdet': {'type': 'DetTTAModel', 'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100}},
    'mmseg': {'type': 'SegTTAModel'},
}
_FLIP_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')


def apply_tta(cfg: Any, scope: str) -> str:
    """Turn a test config into one with test-time augmentation, in place.

    The config's own ``tta_model`` and ``tta_pipeline`` are used where it has them; otherwise the toolbox's model and a
    horizontal flip.

    Args:
        cfg: the config.
        scope: its ``default_scope``.

    Returns:
        One line that says what is done.

    Raises:
        ValueError: the toolbox cannot merge the predictions of this model.
    """
    if scope == 'mmpose':
        cfg.model.test_cfg = {**(cfg.model.get('test_cfg') or {}), 'flip_test': True}
        return '--tta: plain and flipped, merged by the model (model.test_cfg.flip_test=True)'
    if scope not in _DEFAULT_MODELS and not cfg.get('tta_model'):
        raise ValueError(f'--tta: no default for {scope}; give the config a tta_model and a tta_pipeline')
    if scope == 'mmdet' and _has_masks(cfg.model):
        raise ValueError('--tta: mmdet merges boxes alone, and this model predicts masks as well; leave --tta out')
    own = bool(cfg.get('tta_model') and cfg.get('tta_pipeline'))
    model = deepcopy(cfg.get('tta_model') or _DEFAULT_MODELS[scope])
    pipeline = deepcopy(cfg.get('tta_pipeline') or _flip_pipeline(_test_dataset(cfg)['pipeline'], scope))
    cfg.model = {**model, 'module': cfg.model}
    _test_dataset(cfg)['pipeline'] = pipeline
    return "--tta: the config's own augmentation" if own else '--tta: plain and flipped, merged by the toolbox'


def _test_dataset(cfg: Any) -> Any:
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _has_masks(model: Any) -> bool:
    return bool((model.get('roi_head') or {}).get('mask_head') or model.get('mask_head'))


def _flip_pipeline(pipeline: list[dict[str, Any]], scope: str) -> list[dict[str, Any]]:
    """Return a test pipeline that yields each image plain and flipped."""
    loading = deepcopy(list(pipeline))
    packing = loading.pop()
    # The plain picture first: the toolboxes take the truth from the sample of the first.
    flips = [[{'type': 'RandomFlip', 'prob': 0.0}, {'type': 'RandomFlip', 'prob': 1.0}]]
    if scope == 'mmdet':
        packing['meta_keys'] = _FLIP_KEYS  # merging needs to know which image was flipped
    elif scope == 'mmseg':
        # Annotations come after the flip, so that they stay as they are.
        annotations = [step for step in loading if 'LoadAnnotations' in step['type']]
        loading = [step for step in loading if 'LoadAnnotations' not in step['type']]
        return [*loading, {'type': 'TestTimeAug', 'transforms': [*flips, annotations, [packing]]}]
    return [*loading, {'type': 'TestTimeAug', 'transforms': [*flips, [packing]]}]
