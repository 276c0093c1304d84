"""The command lines of the tools for checkpoints."""

from __future__ import annotations

import argparse
from typing import Any

from ..checkpoints.convert import TARGETS
from .cli import ToolParser, add_cfg_options

_SAFETENSORS = 'safetensors'
_MODES = {'once': False, 'twice': True}


def inspect_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/misc/inspect_checkpoint.py``."""
    purpose = 'Tell what a checkpoint is, without a model.'
    parser = ToolParser(prog='tools/misc/inspect_checkpoint.py', description=purpose)
    add = parser.add_argument
    add('checkpoint', metavar='CHECKPOINT', help='a path, a URL, or a name of the zoo')
    add('--modules', action='store_true', help='also how many tensors and parameters each module has')
    _reading(parser)
    return parser


def convert_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/model_converters/moganet_to_mm.py``."""
    purpose = "Write a checkpoint of any known format under today's names, with its gate's mode in it."
    parser = ToolParser(prog='tools/model_converters/moganet_to_mm.py', description=purpose)
    add = parser.add_argument
    add('checkpoint', metavar='IN', help='a path, a URL, or a name of the zoo')
    add('out', metavar='OUT', help='the file to write: .pth, or .safetensors')
    to_help = (
        'model: all parts, for the toolbox that the model is of (default); mmpretrain: the same, of a classifier '
        'alone; backbone: MogaNet alone, for init_cfg; safetensors: as model, and OUT has to end so'
    )
    add('--to', choices=(*TARGETS, _SAFETENSORS), default='model', help=to_help)
    add('--force', action='store_true', help='replace OUT if it is there')
    _reading(parser)
    return parser


def target_of(options: argparse.Namespace) -> str:
    """Return what a command line has a checkpoint converted to; ``safetensors`` says how the whole model is written.

    Raises:
        ValueError: OUT ends otherwise.
    """
    if options.to != _SAFETENSORS:
        return str(options.to)
    if not options.out.endswith(f'.{_SAFETENSORS}'):
        raise ValueError(f'--to safetensors, and OUT is {options.out}; give a name that ends in .safetensors')
    return 'model'


def publish_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/model_converters/publish_model.py``."""
    purpose = "Write what of a training's checkpoint others need, under a name that has the hash of the file in it."
    parser = ToolParser(prog='tools/model_converters/publish_model.py', description=purpose)
    add = parser.add_argument
    add('checkpoint', metavar='IN', help='a path, a URL, or a name of the zoo')
    out_help = 'the file to write, .pth or .safetensors: NAME.pth becomes NAME-<first 8 digits of its sha256>.pth'
    add('out', metavar='OUT', help=out_help)
    _reading(parser)
    return parser


def verify_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/misc/verify_model.py``."""
    purpose = 'See whether released files are what the metafiles say of them.'
    parser = ToolParser(prog='tools/misc/verify_model.py', description=purpose)
    add = parser.add_argument
    names_help = "names of the zoo, or patterns of released files' names, in quotes: 'moganet-tiny*'"
    add('names', metavar='NAME', nargs='*', help=names_help)
    add('--all', action='store_true', help='all released files')
    add('--checkpoint', metavar='FILE', help='hold this file to the row of NAME, and fetch nothing')
    add('--work-dir', metavar='DIR', help='where the evaluation logs; default: work_dirs/verify/<name of the row>')
    add_cfg_options(parser)
    return parser


def reading_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what of a command line :func:`moganet.checkpoints.open_checkpoint` takes."""
    return {name: getattr(options, name) for name in ('prefer', 'gate_act_twice', 'sha256', 'unsafe')}


def _reading(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--prefer', choices=('ema', 'raw'), help='which weights, where a file holds raw ones and their moving average')
    gate_help = 'how often the gate was activated in training, for a file that does not say it'
    add('--gate', dest='gate_act_twice', type=_gate, metavar='{once,twice}', help=gate_help)
    add('--sha256', help="what the file's has to be, or its first eight digits or more")
    unsafe_help = 'read with pickle what holds more than weights: whoever wrote the file can then run code here'
    add('--unsafe', action='store_true', help=unsafe_help)


def _gate(text: str) -> bool:
    if text not in _MODES:
        raise argparse.ArgumentTypeError(f'{text!r} is neither once nor twice')
    return _MODES[text]
