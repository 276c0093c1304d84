"""How often the gate's activation is applied in the model that a file is for: never told by its tensors.

OpenMixup's models applied it twice, timm's once; evaluated the other way round the same weights lose points, without an
error. What says so is trusted in this order: the file's own meta, the metadata of its state dict, the config that it
carries, its row of the metafile, its writer's habit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config_text import ConfigText
from .errors import CheckpointError
from .origin import Origin, Released

KEY = 'gate_act_twice'
_OWN = 'the meta of the file'
_ROW = 'the metafile'
# The authors' code where attn_force_fp32 made the gate act twice.
_AUTHORS = ('OpenMixup', 'mmdet', 'mmseg', 'mmpose')
_HABITS = {'timm': False, 'OpenMixup': True, 'OpenSTL': False}
# Of the toolboxes only the authors' own models, which were all made for this generation.
_DENSE = (Origin('mmdet', '2.x'), Origin('mmseg', '0.x'), Origin('mmpose', '0.x'))


def flag(meta: Mapping[str, Any], key: str, file_name: str) -> bool | None:
    """Read a yes or no from a file's meta, where safetensors has only texts; None if it is not there.

    Raises:
        CheckpointError: it is neither.
    """
    value = meta.get(key)
    if isinstance(value, str):
        value = {'true': True, 'false': False, 'none': None}.get(value.lower(), value)
    if value is None or isinstance(value, bool):
        return value
    raise CheckpointError(f'{file_name} has {key}={value!r} in its meta; it must be true or false; mend the meta')


def gate_mode(
    own: bool | None,
    of_state_dict: bool | None,
    config: ConfigText,
    released: Released | None,
    origin: Origin,
    given: bool | None,
    file_name: str,
) -> tuple[bool | None, str]:
    """Settle whether the gate's activation is applied twice.

    Args:
        own: what the file's meta says.
        of_state_dict: what the metadata of its state dict says.
        config: what its config says.
        released: its row of the metafile.
        origin: who wrote it.
        given: what the caller says; it settles everything but the file's own meta.
        file_name: for the messages.

    Returns:
        The mode, None when nothing says it, and what said so.

    Raises:
        CheckpointError: two of them contradict each other.
    """
    said = [
        ('the metadata of the state dict', of_state_dict),
        _of_config(config, origin),
        (_ROW, released.gate_act_twice if released is not None else None),
    ]
    voices = [(source, value) for source, value in said if value is not None]
    if own is not None:
        if given is not None and given != own:
            raise CheckpointError(
                f'{file_name} says {KEY}={own} in its meta, and {KEY}={given} was given; leave the argument out'
            )
        others = [source for source, value in voices if value != own]
        return own, f'{_OWN}, against {" and ".join(others)}' if others else _OWN
    if given is not None:
        return given, 'the caller'
    if len({value for _, value in voices}) > 1:
        told = ', and '.join(f'{KEY}={value} by {source}' for source, value in voices)
        raise CheckpointError(
            f'{file_name} is for {told}; its tensors do not tell; '
            f'evaluate it both ways and give {KEY}=True or {KEY}=False'
        )
    if voices:
        return voices[0][1], voices[0][0]
    habit = False if origin in _DENSE else _HABITS.get(origin.writer)
    if habit is not None:
        return habit, f'its writer {origin.writer}'
    return None, 'nothing'


def _of_config(config: ConfigText, origin: Origin) -> tuple[str, bool | None]:
    source = 'the config in the file'
    if config.gate_act_twice is not None:
        return source, config.gate_act_twice
    if config.ours:
        # A config leaves out what it does not change, and the option is off by default.
        return source, False
    if origin.writer in _AUTHORS and config.attn_force_fp32 is not None:
        return f'{source} (attn_force_fp32={config.attn_force_fp32})', config.attn_force_fp32
    return source, None
