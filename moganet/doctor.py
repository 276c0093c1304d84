"""Tells what is installed, what does not fit, and the pip line that mends it: ``python -m moganet.doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NoReturn

from .doctor_rules import ALL, BASE, TASKS, Problem, diagnose, provider
from .environment import DISTRIBUTIONS, Facts, collect


def verdicts(problems: Iterable[Problem], tasks: Sequence[str]) -> dict[str, str]:
    """Task -> why it cannot run, empty when it can."""
    reasons = dict.fromkeys(tasks, '')
    for problem in problems:
        for task in problem.tasks:
            if problem.level == 'error' and reasons.get(task) == '':
                reasons[task] = problem.text
    return reasons


def render(facts: Facts, problems: Sequence[Problem], tasks: Sequence[str]) -> str:
    """The report as text."""
    rows = [('python', facts.python)]
    for name in ('torch', 'numpy', 'torchvision'):
        rows.append((name, facts.distributions.get(name, 'not installed')))
    torch = facts.probes.get('torch')
    if torch and torch.ok:
        gpus = ', '.join(torch.gpus) or 'no GPU'
        rows[1] = ('torch', f'{rows[1][1]}, {"CUDA " + torch.cuda if torch.cuda else "CPU build"}, {gpus}')
    for module in DISTRIBUTIONS:
        found = provider(facts, module)
        text = ' and '.join(f'{facts.distributions[name]} ({name})' for name in found) or 'not installed'
        if module == 'mmcv' and found and 'mmcv.ops' in facts.probes:
            text += ', operators: ' + ('yes' if facts.probes['mmcv.ops'].ok else 'no')
        rows.append((module, text))
    report = [f'{name:<15} {text}' for name, text in rows]
    for problem in problems:
        report += ['', f'{problem.level}: {problem.text}', f'  mend: {problem.mend}']
    report.append('')
    report += [f'{task:<15} {"cannot run: " + why if why else "ok"}' for task, why in verdicts(problems, tasks).items()]
    return '\n'.join(report)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {message}\n')


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks at this environment and reports; the exit code is 1 when a task that was asked for cannot run."""
    parser = _Parser(
        prog='python -m moganet.doctor', description='Versions, what does not fit, and the line that mends it.'
    )
    parser.add_argument('--task', nargs='+', choices=(*ALL, 'all'), default=['all'], help='the tasks to judge (all)')
    parser.add_argument('--json', action='store_true', help='print the facts, problems and verdicts as JSON')
    options = parser.parse_args(arguments)
    tasks = ALL if 'all' in options.task else tuple(dict.fromkeys(options.task))
    try:
        facts = collect(list(dict.fromkeys([*BASE, *(name for task in tasks for name in TASKS[task])])))
        problems = diagnose(facts, tasks)
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    reasons = verdicts(problems, tasks)
    if options.json:
        relevant = {name for names in DISTRIBUTIONS.values() for name in names} | {'numpy', 'torch', 'torchvision'}
        facts.distributions = {name: version for name, version in facts.distributions.items() if name in relevant}
        shown = {'facts': facts.as_dict(), 'problems': [asdict(problem) for problem in problems], 'tasks': reasons}
        print(json.dumps(shown, indent=2))
    else:
        print(render(facts, problems, tasks))
    return 1 if any(reasons.values()) else 0


if __name__ == '__main__':
    sys.exit(main())
