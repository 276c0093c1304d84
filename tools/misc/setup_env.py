"""Sets up the environment of this repository: ``python3 tools/misc/setup_env.py --venv .venv --for classification``.

Finds a fit Python, makes a virtual environment with it and goes on inside it (``envsetup``). An environment that was
not made here is never changed: it is only judged, by ``python -m moganet.doctor``.

Any Python 3 can start this file, so that the wrong one gets a clear line: it uses the standard library alone, and
nothing newer than Python 3.6.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys

from envsetup import STATE
from envsetup.errors import SetupError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the set of requirements/modern.txt is seen working on; the first is tried first.
FIT = ((3, 11), (3, 12))
GOALS = ('classification', 'detection', 'segmentation', 'pose', 'all', 'test')
GIB = 2**30
NEEDS_GIB = {'cpu': 3, 'gpu': 12}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line."""

    def error(self, message):
        self.exit(2, f'error: {message}\n')


def version_of(python):
    """The version of an interpreter as ``(3, 11)``; None when it does not run."""
    command = [python, '-c', 'import sys; print("%d %d" % sys.version_info[:2])']
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    words = done.stdout.decode(errors='replace').split()
    return (int(words[0]), int(words[1])) if done.returncode == 0 and len(words) == 2 else None


def spell(versions):
    """``3.11 or 3.12``."""
    return ' or '.join('{}.{}'.format(*version) for version in versions)


def find_python(wanted, version_of=version_of):
    """The interpreter to build the environment with.

    Args:
        wanted: the user's choice (``PYTHON=...``), or empty for the first fit one on the path.
        version_of: asks an interpreter for its version.

    Raises:
        SetupError: none is fit; the message names what to install.
    """
    if wanted:
        version = version_of(wanted)
        if version in FIT:
            return wanted
        what = 'does not run' if version is None else 'is Python {}.{}'.format(*version)
        raise SetupError(f'PYTHON={wanted} {what}; give one that is Python {spell(FIT)}')
    names = ['python{}.{}'.format(*version) for version in FIT] + ['python3', sys.executable]
    seen = []
    for name in names:
        version = version_of(name)
        if version in FIT:
            return name
        if version is not None:
            seen.append('{}.{}'.format(*version))
    found = ' (found: {})'.format(', '.join(sorted(set(seen)))) if seen else ''
    raise SetupError(
        f'Python {spell(FIT)} is needed{found}: install it (Debian, Ubuntu: apt-get install python3.11 '
        'python3.11-venv python3.11-dev) and run the same line again, or name it with PYTHON=/path/to/python3.11'
    )


def kind_of(venv):
    """``absent``, ``ours`` or ``foreign``: whether this script may make or change the environment."""
    if not os.path.lexists(venv) or (os.path.isdir(venv) and not os.listdir(venv)):
        return 'absent'
    return 'ours' if os.path.isfile(os.path.join(venv, STATE)) else 'foreign'


def python_in(venv):
    """The interpreter of a virtual or conda environment."""
    return os.path.join(venv, 'bin', 'python')


def is_usable(venv):
    """Whether an environment of ours has a fit Python with pip: one that was cut off while it was made has not."""
    python = python_in(venv)
    if version_of(python) not in FIT:
        return False
    # pip writes INSTALLER after everything else, its own included.
    check = 'import pip, importlib.metadata as m; assert m.distribution("pip").read_text("INSTALLER")'
    return subprocess.call([python, '-c', check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def make_venv(python, venv):
    """Makes the environment; the marker comes first, so that one cut off half-way is known as ours."""
    wanted = spell([version_of(python)])
    check = [python, '-c', 'import venv, ensurepip']
    if subprocess.call(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        raise SetupError(
            f'{python} cannot make virtual environments: install its venv module (Debian, Ubuntu: apt-get install '
            f'python{wanted}-venv) and run the same line again'
        )
    needed = NEEDS_GIB['gpu' if shutil.which('nvidia-smi') else 'cpu']
    there = venv
    while not os.path.isdir(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    free = shutil.disk_usage(there).free / GIB
    if free < needed:
        raise SetupError(
            f'only {free:.1f} GiB are free for {venv}, {needed} GiB are needed: make room, or choose another place '
            'with VENV=/path'
        )
    try:
        if os.path.isdir(venv):
            for name in os.listdir(venv):
                path = os.path.join(venv, name)
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                elif name != STATE:
                    os.remove(path)
        else:
            os.makedirs(venv)
        with open(os.path.join(venv, STATE), 'w') as file:
            json.dump({'made_by': 'tools/misc/setup_env.py'}, file)
    except OSError as error:
        raise SetupError(f'cannot write {venv}: {error.strerror}; choose another place with VENV=/path') from error
    done = subprocess.run([python, '-m', 'venv', venv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        last = (done.stdout.decode(errors='replace').strip().splitlines() or ['no message'])[-1]
        raise SetupError(f'{python} -m venv {venv} failed: {last}')


def link_configs():
    """Makes ``moganet::`` work from this folder without installing it: the links that an editable install makes."""
    folder = os.path.join(ROOT, 'moganet', '.mim')
    try:
        os.makedirs(folder, exist_ok=True)
        for name in ('configs', 'tools', 'model-index.yml', 'requirements'):
            if not os.path.lexists(os.path.join(folder, name)):
                os.symlink(os.path.join('..', '..', name), os.path.join(folder, name))
    except OSError:
        # A repository that cannot be written serves all the same, but for `moganet::`.
        pass


def judge_foreign(venv, goal):
    """Runs the doctor in an environment that is not ours; returns its exit code."""
    python = python_in(venv)
    if not os.access(python, os.X_OK):
        raise SetupError(
            f'{venv} is no Python environment (it has no bin/python), and was not made here, so it is left alone: '
            'choose another place with VENV=/path, or remove it'
        )
    print(f'{venv} was not made by this set-up: nothing is installed into it, it is only looked at')
    link_configs()
    sys.stdout.flush()
    tasks = 'all' if goal == 'test' else goal
    paths = [ROOT] + [path for path in [os.environ.get('PYTHONPATH')] if path]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths))
    return subprocess.call([python, '-m', 'moganet.doctor', '--task', tasks], env=environment)


def parse(arguments):
    """Reads the command line."""
    parser = Parser(description='Sets up the environment of this repository.')
    parser.add_argument('--venv', default='.venv', help='the virtual environment; made when absent (.venv)')
    parser.add_argument('--for', dest='goal', choices=GOALS, default='all', help='what it is for (all)')
    parser.add_argument('--print', dest='show', action='store_true', help='only print the pip lines')
    parser.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Brings the environment to where the goal can run; returns the exit code."""
    options = parse(arguments)
    venv = os.path.abspath(options.venv)
    try:
        if options.inside:
            from envsetup import steps

            return steps.main(ROOT, venv, options.goal)
        if options.show:
            here = os.path.dirname(os.path.abspath(__file__))
            return subprocess.call([find_python(os.environ.get('PYTHON', '')), '-m', 'envsetup.sets', ROOT], cwd=here)
        kind = kind_of(venv)
        if kind == 'foreign':
            return judge_foreign(venv, options.goal)
        if kind == 'absent' or not is_usable(venv):
            make_venv(find_python(os.environ.get('PYTHON', '')), venv)
        sys.stdout.flush()
        inside = [python_in(venv), os.path.abspath(__file__), '--inside', '--venv', venv, '--for', options.goal]
        os.execv(inside[0], inside)
    except SetupError as error:
        sys.stderr.write(f'error: {error}\n')
        return 2
    except KeyboardInterrupt:
        sys.stderr.write('\nerror: interrupted; the same line goes on from here\n')
        return 130


if __name__ == '__main__':
    sys.exit(main())
