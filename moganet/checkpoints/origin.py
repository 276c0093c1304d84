"""Who wrote a file, told from its names and from what it says about itself."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from .config_text import ConfigText
from .errors import CheckpointError

WRITERS = ('timm', 'OpenMixup', 'mmpretrain', 'mmdet', 'mmseg', 'mmpose', 'OpenSTL', 'moganet', 'unknown')
_OF_TASK = {'classification': 'mmpretrain', 'detection': 'mmdet', 'segmentation': 'mmseg', 'pose': 'mmpose'}
_OLD = {'mmdet': '2.x', 'mmseg': '0.x', 'mmpose': '0.x', 'OpenMixup': '0.x'}
_NEW = {'mmpretrain': '1.x', 'mmdet': '3.x', 'mmseg': '1.x', 'mmpose': '1.x'}
# What each training code of OpenMMLab 1.x writes into meta.
_VERSIONS = {
    'openmixup_version': 'OpenMixup',
    'mmcls_version': 'mmpretrain',
    'mmpretrain_version': 'mmpretrain',
    'mmdet_version': 'mmdet',
    'mmseg_version': 'mmseg',
    'mmpose_version': 'mmpose',
}
# Entries that timm's training writes beside the weights, and what the authors' script leaves of them.
_TIMM_KEYS = frozenset(('arch', 'state_dict_ema', 'amp_scaler', 'author'))
_DETECTION = frozenset(('rpn_head', 'roi_head', 'bbox_head'))
_POSE = re.compile(r'head\.(\w+_head\.)?(deconv_layers|conv_layers|final_layer)\.')


class Released(Protocol):
    """What the metafile says of a released file.

    Attributes:
        writer: who wrote it, such as ``timm``, ``OpenMixup`` or ``mmdet 2.x``.
        gate_act_twice: whether its model applies the gate's activation twice; None where nobody knows.
        ema: whether what is evaluated is a moving average; None where nobody knows.
    """

    @property
    def writer(self) -> str: ...

    @property
    def gate_act_twice(self) -> bool | None: ...

    @property
    def ema(self) -> bool | None: ...


@dataclass(frozen=True)
class Evidence:
    """What a file shows of its origin.

    Attributes:
        names: names of its weights, without wrappers.
        home: what precedes the backbone's, see :class:`~.wrappers.Unwrapped`.
        task: what the model is for.
        keys: the file's top-level entries.
        meta: what it says about itself.
        config: what its config says.
        ours: whether it carries what this project writes into its own.
        flat_ema: whether it has OpenMMLab 1.x's ``ema_*`` buffers.
    """

    names: Collection[str]
    home: str
    task: str | None
    keys: Collection[str]
    meta: dict[str, Any]
    config: ConfigText
    ours: bool
    flat_ema: bool


@dataclass(frozen=True)
class Origin:
    """Who wrote a file: one of :data:`WRITERS`, and the generation of the code, such as ``'2.x'``, or ``''``."""

    writer: str
    generation: str = ''

    def __str__(self) -> str:
        return f'{self.writer} {self.generation}'.strip()


def task_of(names: Collection[str], home: str) -> str | None:
    """Return what a model is for, from the names of its parts; None for a backbone alone or a head that is not known.

    Args:
        names: names of the weights, without wrappers.
        home: what precedes the backbone's, see :class:`~.wrappers.Unwrapped`.
    """
    parts = {name.split('.', 1)[0] for name in names}
    if 'hid' in parts:
        return 'video'
    if not home:
        return 'classification' if 'head.weight' in names else None
    if _DETECTION & parts:
        return 'detection'
    if 'decode_head' in parts:
        return 'segmentation'
    if 'keypoint_head' in parts or any(map(_POSE.match, names)):
        return 'pose'
    return 'classification' if 'head.fc.weight' in names else None


def origin_of(evidence: Evidence, released: Released | None, file_name: str) -> Origin:
    """Tell who wrote a file; what the file leaves open is taken from its row of the metafile.

    Args:
        evidence: what the file shows.
        released: its row, if it has one.
        file_name: for the message.

    Raises:
        CheckpointError: the row is another writer's.
    """
    if evidence.ours:
        return Origin('moganet')
    told = _told(evidence)
    if released is None:
        return told
    row = _of_row(released.writer)
    if told.writer == 'unknown':
        return row
    # The port to mmpretrain is made of others' files, and may have kept what they say about themselves.
    if row.writer not in (told.writer, 'mmpretrain', 'unknown'):
        raise CheckpointError(
            f'{file_name} is by {told}, as its names and its meta say, and by {row} as the metafile has it: '
            'this is another file under a released name; rename it'
        )
    return told if told.generation or row.writer != told.writer else row


def _told(file: Evidence) -> Origin:
    """What the file itself tells."""
    task = file.task
    if task == 'video':
        return Origin('OpenSTL')
    if not file.home:
        return Origin('timm') if task == 'classification' or _TIMM_KEYS & set(file.keys) else Origin('unknown')
    for key, writer in _VERSIONS.items():
        major = re.match(r'\d+', str(file.meta.get(key, '')))
        if major:
            return Origin(writer, f'{major[0]}.x')
    if task == 'classification' and (file.flat_ema or 'MixUpClassification' in file.config.types):
        return Origin('OpenMixup', '0.x')
    writer = _OF_TASK.get(task or '', 'unknown')
    if 'mmengine_version' in file.meta:
        return Origin(writer, _NEW.get(writer, ''))
    if 'mmcv_version' in file.meta or any(name.startswith('keypoint_head.') for name in file.names):
        # mmcls 0.x had no MogaNet, but somebody's copy of it may, with the gate either way.
        return Origin('unknown') if task == 'classification' else Origin(writer, _OLD.get(writer, ''))
    # A classifier under OpenMMLab's names may be OpenMixup's or a port of anybody's.
    return Origin('unknown') if task == 'classification' else Origin(writer)


def _of_row(text: str) -> Origin:
    name, _, rest = text.partition(' ')
    generation = re.search(r'\d+\.x', rest)
    return Origin(name if name in WRITERS else 'unknown', generation[0] if generation else '')
