#!/usr/bin/env python
"""Train a model of any of the four tasks; ``--help`` lists the options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from moganet.engine.cli import parse_train, run_tool
    from moganet.engine.hooks import Stopped
    from moganet.engine.launch import finish, prepare_training, start
    from moganet.engine.preflight import preflight
    from moganet.engine.report import print_plan
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return the exit code."""
    options = parse_train(argv)
    if options.preflight:
        return preflight(options)

    def prepare() -> Callable[[], None]:
        plan = prepare_training(options)
        print_plan(plan, options)

        def train() -> None:
            runner = start(plan)
            try:
                runner.train()
            except Stopped as stopped:
                finish()
                print(stopped.told)
                raise
            finish()
            print(f'checkpoints and logs: {runner.work_dir}')

        return train

    return run_tool(prepare)


if __name__ == '__main__':
    sys.exit(main())
