#!/usr/bin/env python
"""Compute the test metrics of a config from saved predictions; ``--help`` lists the options.

    python tools/test.py CONFIG CHECKPOINT --out predictions.pkl
    python tools/analysis_tools/eval_metric.py CONFIG predictions.pkl --cfg-options test_evaluator.metric=bbox
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.engine.cli import config_parser, run_tool
    from moganet.engine.report import print_metrics
    from moganet.engine.saved_predictions import evaluate_saved
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Compute and print; return the exit code."""
    purpose = 'Compute the test metrics of a config from the predictions that tools/test.py --out saved.'
    parser = config_parser('tools/analysis_tools/eval_metric.py', purpose)
    parser.add_argument('predictions', metavar='FILE.pkl', help='the predictions; a pickle, so one that you trust')
    options = parser.parse_args(argv)

    def prepare() -> Callable[[], None]:
        metrics = evaluate_saved(options.config, options.cfg_options, options.predictions)
        return lambda: print_metrics(metrics)

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
