"""The command lines of the tools that look at data."""

from __future__ import annotations

import argparse
import textwrap

from ..datasets.check import KINDS
from .cli import config_parser
from .data_inspection import SPLITS

_DEPTH = """\
What is read: annotation files and lists in full, and of each picture the head and the tail. So it is seen that each is
there, is not empty, has the size that the annotations say, and ends as a JPEG or PNG ends. --decode decodes each
picture too, which finds damage in between, and takes as long as one epoch of loading. Label maps of segmentation are
always decoded.

Exit code: 0 without faults, 1 with faults, 2 when the command line or a path of the config is wrong.

Kinds of faults:
"""


def check_dataset_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/misc/check_dataset.py``."""
    purpose = 'Look at the files of the data sets that a config names, before a model is trained on them.'
    parser = config_parser('tools/misc/check_dataset.py', purpose)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    width = max(map(len, KINDS))
    kinds = '\n'.join(f'  {kind:{width}}  {meaning}' for kind, meaning in KINDS.items())
    parser.epilog = textwrap.dedent(_DEPTH) + kinds
    add = parser.add_argument
    add('--split', nargs='+', choices=SPLITS, help='which data sets; default: all that the config has')
    add('--decode', action='store_true', help='decode every picture')
    add('--workers', type=int, default=4, metavar='N', help='threads that read pictures; default: 4')
    add('--ignore', nargs='+', choices=list(KINDS), default=[], metavar='KIND', help='count these, as no faults')
    add('--out', metavar='FILE', help='write all faults to FILE.csv, or everything to FILE.json')
    return parser


def browse_dataset_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/analysis_tools/browse_dataset.py``."""
    purpose = 'Draw what a model is given: samples of a data set after all augmentation, with their truth.'
    parser = config_parser('tools/analysis_tools/browse_dataset.py', purpose)
    add = parser.add_argument
    add('--out', required=True, metavar='DIR', help='where the pictures go')
    add('--split', choices=SPLITS, default='train', help='which data set; default: train')
    add('--number', type=int, default=8, metavar='N', help='how many samples, chosen at random; default: 8')
    add('--seed', type=int, default=0, metavar='N', help='of the choice and of the augmentation; default: 0')
    batch_help = "leave out Mixup, CutMix and the like, which a classifier's config applies to whole batches"
    add('--no-batch-augments', dest='batch_augments', action='store_false', help=batch_help)
    return parser
