"""A benchmark's numbers as a table, as data and as a picture, with the machine that gave them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .throughput import Limits, Throughput

_HEAD = ('model and form', 'batch', 'size', 'ms', 'quartiles', 'images/s', 'ratio', 'peak MB', 'GEMM limit')


def machine(device: str | None) -> tuple[torch.device, dict[str, str]]:
    """Return the device to measure on, and what the machine is.

    Args:
        device: torch's name of it; None for the GPU where there is one.

    Raises:
        ValueError: there is no such device.
    """
    try:
        chosen = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f'--device {device}: {str(error).splitlines()[0]}') from error
    about = {'torch': torch.__version__, 'command': ' '.join(['python', *sys.argv])}
    if chosen.type == 'cuda':
        about['device'] = torch.cuda.get_device_name(chosen)
    else:
        about['device'] = f'{_processor()}, {torch.get_num_threads()} thread(s)'
        about['instructions'] = torch.backends.cpu.get_cpu_capability()
    return chosen, about


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), platform.machine())


def table(
    groups: Sequence[Sequence[Throughput]], limits: Mapping[str, Limits], about: Mapping[str, str]
) -> str:
    """Return a Markdown table; ratios are to the first form of each group.

    Args:
        groups: what was measured, forms of one batch and size together.
        limits: of each precision.
        about: the machine.
    """
    rows = [_HEAD, tuple('---' for _ in _HEAD)]
    for group in groups:
        for one in group:
            share = one.flops / one.seconds / limits[one.form.dtype].flops
            rows.append(
                (
                    one.form.name,
                    str(one.batch),
                    str(one.size),
                    f'{one.seconds * 1e3:.1f}',
                    f'{one.low * 1e3:.1f} to {one.high * 1e3:.1f}',
                    f'{one.rate:.1f}',
                    f'{group[0].seconds / one.seconds:.2f}',
                    f'{one.peak / 1e6:.0f}' if one.peak else '-',
                    f'{share:.0%}',
                )
            )
    lines = [f'| {" | ".join(row)} |' for row in rows]
    lines += ['', *(f'{name}: {value}' for name, value in about.items())]
    for dtype, each in limits.items():
        seen = f'{each.flops / 1e9:.0f} GFLOP/s of products, {each.bandwidth / 1e9:.1f} GB/s copied'
        lines.append(f'limits, {dtype}: {seen}')
    return '\n'.join(lines)


def as_data(
    groups: Sequence[Sequence[Throughput]], limits: Mapping[str, Limits], about: Mapping[str, str]
) -> dict[str, Any]:
    """Return the same as what JSON can hold; seconds and bytes."""
    measured = [
        {**asdict(one), 'name': one.form.name, 'images_per_second': one.rate, 'ratio': group[0].seconds / one.seconds}
        for group in groups
        for one in group
    ]
    of_dtypes = {name: asdict(each) for name, each in limits.items()}
    return {'machine': dict(about), 'limits': of_dtypes, 'measured': measured}


def draw(groups: Sequence[Sequence[Throughput]], about: Mapping[str, str], path: Path) -> None:
    """Write a picture: a panel for each batch and size, a bar for each form."""
    import matplotlib

    matplotlib.use('agg')
    from matplotlib import pyplot

    size = (4 + 4 * len(groups), 1.5 + 0.5 * len(groups[0]))
    figure, axes = pyplot.subplots(1, len(groups), figsize=size, squeeze=False)
    for axis, group in zip(axes[0], groups):
        names = [one.form.name for one in group]
        rates = [one.rate for one in group]
        spread = [[one.rate - one.batch / one.high for one in group], [one.batch / one.low - one.rate for one in group]]
        bars = axis.barh(names, rates, xerr=spread, color='tab:blue', ecolor='black', capsize=3)
        axis.bar_label(bars, [f'{rate:.0f}' for rate in rates], padding=6)
        axis.invert_yaxis()
        axis.set_xlim(right=max(rates) * 1.2)
        axis.set_xlabel('images/s')
        axis.set_title(f'batch {group[0].batch}, {group[0].size} px')
    figure.suptitle(about['device'], fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
