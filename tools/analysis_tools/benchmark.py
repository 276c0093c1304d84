#!/usr/bin/env python
"""Time models and forms of them side by side; ``--help`` lists the options.

    python tools/analysis_tools/benchmark.py tiny+plain tiny tiny+fused
    python tools/analysis_tools/benchmark.py small+fused timm/convnext_tiny+channels_last --batch 1 8
    python tools/analysis_tools/benchmark.py tiny+plain tiny tiny+cp --train --batch 8 --json speed.json
    python tools/analysis_tools/benchmark.py tiny+plain tiny+fused+openvino tiny+fused+openvino+bf16
    python tools/analysis_tools/benchmark.py tiny+notriton tiny tiny+triton --layout channels_last --dtype bf16

A form is a model and words joined by +: plain (the authors' computation), fused, compile, train, cp or cpffn (training
with the backbone's with_cp=True or 'ffn'), onnx or openvino (exported for pictures of this number and size, and run
there: docs/export.md), nchw or channels_last, fp32, bf16 or fp16; on a GPU also triton or notriton, all kernels of our
own or none, in place of those that a trial finds faster. The weights are random. Forms take turns; medians and
quartiles are told, and ratios to the first form. Let nothing else run beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# A clone need not be installed to be run, from whatever folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    from moganet.analysis.forms import BACKENDS, DTYPES, LAYOUTS, Form, parse_form
    from moganet.analysis.speed_report import as_data, draw, machine, table
    from moganet.analysis.throughput import measure, measure_limits
    from moganet.engine.cli import run_tool
except ImportError as error:
    print(f'error: {error}, in {sys.executable}; `python -m moganet.doctor` tells what to install', file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = _parser().parse_args(argv)

    def prepare() -> Callable[[], None]:
        base = Form(
            '', fused=options.fused, compile=options.compile, train=options.train,
            layout=options.layout, dtype=options.dtype, backend=options.backend, dense=options.dense,
        )  # fmt: skip
        forms = [parse_form(text, base) for text in options.form]
        device, about = machine(options.device)
        found = []
        for size in options.size:
            for batch in options.batch:
                found.append(measure(forms, batch, size, device, options.rounds, options.seconds))
        limits = {form.dtype: measure_limits(form.dtype, device) for form in forms}

        def write() -> None:
            print(table(found, limits, about))
            if options.json:
                Path(options.json).write_text(json.dumps(as_data(found, limits, about), indent=2) + '\n')
            if options.plot:
                draw(found, about, Path(options.plot))

        return write

    return run_tool(prepare)


def _parser() -> argparse.ArgumentParser:
    name = 'tools/analysis_tools/benchmark.py'
    parser = argparse.ArgumentParser(
        prog=name, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('form', metavar='MODEL[+WORD...]', nargs='+', help='what to compare; all ratios are to the first')
    add('--batch', type=int, nargs='+', default=[1], metavar='N', help='pictures at a time; default: 1')
    add('--size', type=int, nargs='+', default=[224], metavar='PX', help='side of the pictures; default: 224')
    add('--layout', choices=[*LAYOUTS], default='nchw', help='of all forms that do not say it; default: nchw')
    add('--dtype', choices=[*DTYPES], default='fp32', help='of all forms that do not say it; default: fp32')
    add('--backend', choices=[*BACKENDS], default='', help='all forms: exported, and run there')
    for word, told in (('fused', 'rewritten for evaluation'), ('compile', 'by torch.compile'), ('train', 'a step')):
        add(f'--{word}', action='store_true', help=f'all forms: {told}')
    add('--dense', action='store_true', help='the maps of the four stages, in place of logits')
    add('--device', default=None, help='default: the GPU where there is one')
    add('--rounds', type=int, default=5, metavar='N', help='turns of each form; default: 5')
    add('--seconds', type=float, default=1.0, metavar='S', help='length of a turn; default: 1')
    add('--json', metavar='FILE', help='write all numbers, the machine and the command')
    add('--plot', metavar='FILE', help='write a picture of the rates')
    return parser


if __name__ == '__main__':
    sys.exit(main())
