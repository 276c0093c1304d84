#!/usr/bin/env python
"""Evaluate a checkpoint on the test set of a config; ``--help`` lists the options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from moganet.engine.cli import parse_test, run_tool
    from moganet.engine.launch import finish, prepare_testing, start
    from moganet.engine.report import print_metrics, print_plan
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate; return the exit code."""
    options = parse_test(argv)

    def prepare() -> Callable[[], None]:
        plan = prepare_testing(options)
        print_plan(plan, options)

        def test() -> None:
            runner = start(plan)
            metrics = runner.test()
            finish()
            print_metrics(metrics)
            if options.show_dir:
                print(f'pictures: {options.show_dir}')
            if options.out:
                print(f'predictions: {options.out}')

        return test

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
