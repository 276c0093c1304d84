#!/usr/bin/env python3
"""Make small sets of real images, in the benchmarks' own formats, for a first run of every task.

    python tools/dataset_converters/make_tiny.py                       one for each of the four tasks, under data/tiny
    python tools/dataset_converters/make_tiny.py --tasks hands         3D hands, in InterHand2.6M's format
    python tools/dataset_converters/make_tiny.py --tasks pose --num-train 5000
    python tools/dataset_converters/make_tiny.py --size small --out /tmp/tiny

They are composed of images that scikit-learn and scikit-image carry, so nothing is downloaded. What is there already,
made with the same arguments, is kept; what was made with others is made anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {message}\n')


def parse_args() -> argparse.Namespace:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('data/tiny'), help='folder of the sets (default: data/tiny)')
    parser.add_argument('--seed', type=int, default=0, help='decides what is random (default: 0)')
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help='classification, detection, segmentation, pose, hands (default: all but hands)',
    )
    parser.add_argument('--size', default='demo', help='demo, or small: some dozens of pictures (default: demo)')
    parser.add_argument('--num-train', type=int, help="train pictures of each task, in place of the size's")
    parser.add_argument('--num-val', type=int, help="val pictures of each task, in place of the size's")
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        from moganet.datasets.tiny import TASKS, build, plan

        wanted = plan(args.tasks or TASKS, args.size, args.num_train, args.num_val)
        reports = build(args.out, wanted, args.seed)
    except ModuleNotFoundError as error:
        print(f'error: {error.name} is not installed; see `python -m moganet.doctor`', file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    for report in reports:
        counts = f'{report.counts["train"]} train, {report.counts["val"]} val'
        done = 'kept as it was' if report.state == 'kept' else f'{report.state} in {report.seconds:.1f} s'
        print(f'{report.task}: {report.folder} ({counts}, {report.size / 1e6:.1f} MB), {done}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
