"""The command lines of the tools that count."""

from __future__ import annotations

import argparse

from ..analysis import COUNTERS
from .cli import config_parser


def flops_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/analysis_tools/get_flops.py``."""
    purpose = 'Count parameters and multiply-adds of the model that a config describes.'
    parser = config_parser('tools/analysis_tools/get_flops.py', purpose)
    add = parser.add_argument
    shape_help = "default: the tables' own, 1280 800 for detection, 2048 512 for segmentation, else the test size"
    add('--shape', nargs=2, type=int, metavar=('HEIGHT', 'WIDTH'), help=shape_help)
    counter_help = "authors: mmcv 1.x's rules, by which MogaNet's tables were made; mmengine: today's toolboxes'"
    add('--counter', choices=COUNTERS, default='authors', help=counter_help)
    return parser


def memory_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/analysis_tools/get_memory.py``."""
    purpose = 'Count the memory that the tensors of one training step take.'
    parser = config_parser('tools/analysis_tools/get_memory.py', purpose)
    add = parser.add_argument
    add('--batch', type=int, metavar='N', help="pictures of one process; default: the config's")
    shape_help = 'default: 800 1344 for detection, else the size that the config trains on'
    add('--shape', nargs=2, type=int, metavar=('HEIGHT', 'WIDTH'), help=shape_help)
    return parser
