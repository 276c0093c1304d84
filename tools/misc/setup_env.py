"""Sets up the environment of this repository: ``python3 tools/misc/setup_env.py --venv .venv --for classification``.

Finds a fit Python, makes a virtual environment with it and goes on inside it (``envsetup``). An environment that was
not made here is never changed: it is only judged, by ``python -m moganet.doctor``.

Any Python 3 can start this file, so that the wrong one gets a clear line: it uses the standard library alone, and
nothing newer than Python 3.6.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

from envsetup import MIM, STATE
from envsetup.errors import SetupError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the sets of requirements/ are seen working on; the first is tried first.
FIT = {'modern': ((3, 11), (3, 12)), 'classic': ((3, 10),)}
GOALS = ('classification', 'detection', 'segmentation', 'pose', 'all', 'test')
GIB = 2**30
# Of torch 2.1 the package index has a build for CUDA alone.
NEEDS_GIB = {'cpu': 3, 'classic': 6, 'gpu': 12}


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


def find_python(wanted, version_of=version_of, fit=FIT['modern']):
    """The interpreter to build the environment with.

    Args:
        wanted: the user's choice (``PYTHON=...``), or empty for the first fit one on the path.
        version_of: asks an interpreter for its version.
        fit: the versions that will do.

    Raises:
        SetupError: none is fit; the message names what to install.
    """
    if wanted:
        version = version_of(wanted)
        if version in fit:
            return wanted
        what = 'does not run' if version is None else 'is Python {}.{}'.format(*version)
        raise SetupError(f'PYTHON={wanted} {what}; give one that is Python {spell(fit)}')
    names = ['python{}.{}'.format(*version) for version in fit] + ['python3', sys.executable]
    seen = []
    for name in names:
        version = version_of(name)
        if version in fit:
            return name
        if version is not None:
            seen.append('{}.{}'.format(*version))
    found = ' (found: {})'.format(', '.join(sorted(set(seen)))) if seen else ''
    first = names[0]
    raise SetupError(
        f'Python {spell(fit)} is needed{found}: install it (Debian, Ubuntu: apt-get install {first} {first}-venv '
        f'{first}-dev; else pyenv, uv and conda have it) and run the same line again, or name it with '
        f'PYTHON=/path/to/{first}'
    )


def kind_of(venv):
    """``absent``, ``ours`` or ``foreign``: whether this script may make or change the environment."""
    if not os.path.lexists(venv) or (os.path.isdir(venv) and not os.listdir(venv)):
        return 'absent'
    return 'ours' if os.path.isfile(os.path.join(venv, STATE)) else 'foreign'


def set_of(venv):
    """The set that an environment of ours was made for; empty when its note is torn."""
    try:
        with open(os.path.join(venv, STATE)) as file:
            # Those that were made when there was one set alone say nothing.
            return str(json.load(file).get('set', 'modern'))
    except (OSError, ValueError, AttributeError):
        return ''


def python_in(venv):
    """The interpreter of a virtual or conda environment."""
    return os.path.join(venv, 'bin', 'python')


def is_usable(venv, fit=FIT['modern']):
    """Whether an environment of ours has a fit Python with pip: one that was cut off while it was made has not."""
    python = python_in(venv)
    if version_of(python) not in fit:
        return False
    # pip writes INSTALLER after everything else, its own included.
    check = 'import pip, importlib.metadata as m; assert m.distribution("pip").read_text("INSTALLER")'
    return subprocess.call([python, '-c', check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def check_wanted(wanted, venv):
    """Raises SetupError when the user names an interpreter (``PYTHON=...``) that is not the existing environment's."""
    asked, there = version_of(wanted), version_of(python_in(venv))
    if asked is None:
        raise SetupError(f'PYTHON={wanted} does not run; leave it out: {venv} is there already')
    if there is not None and asked != there:
        raise SetupError(
            f'PYTHON={wanted} is Python {spell([asked])}, and {venv} is there already with Python {spell([there])}: '
            'leave PYTHON out, choose another place with VENV=/path, or remove that environment'
        )


def take_lock(path):
    """Locks a file, made if it is not there; waits while another process holds it. Returns its descriptor."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        lock = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('another set-up is looking after this environment: waiting for it')
            sys.stdout.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            # Whoever had it before has removed it, and somebody else may hold a new one.
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        os.close(lock)


@contextlib.contextmanager
def alone(venv):
    """Only one set-up at a time looks whether an environment is there, and makes it.

    Gives the descriptors of the lock, for the children: should this process be killed, they hold it until they end.
    """
    # Beside it, for making it anew empties it. Not PATH.lock, which is another's file for VENV=uv or VENV=poetry.
    path = f'{venv}.setup-lock'
    try:
        lock = take_lock(path)
    except OSError:
        # A folder that cannot be written, or a file system without locks: the work itself may be possible.
        yield ()
        return
    try:
        yield (lock,)
    finally:
        with contextlib.suppress(OSError):
            os.remove(path)
        os.close(lock)


def make_venv(python, venv, locks=(), name='modern'):
    """Makes the environment; the marker comes first, so that one cut off half-way is known as ours.

    Args:
        python: a fit interpreter.
        venv: where to; what is left there of an earlier attempt is removed.
        locks: descriptors of locked files, which the children keep open.
        name: the set that it is for.
    """
    wanted = spell([version_of(python)])
    check = [python, '-c', 'import venv, ensurepip']
    if subprocess.call(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) != 0:
        raise SetupError(
            f'{python} cannot make virtual environments: install its venv module (Debian, Ubuntu: apt-get install '
            f'python{wanted}-venv) and run the same line again'
        )
    needed = NEEDS_GIB['gpu' if shutil.which('nvidia-smi') else 'classic' if name == 'classic' else 'cpu']
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
            for left in os.listdir(venv):
                path = os.path.join(venv, left)
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                elif left != STATE:
                    os.remove(path)
        else:
            os.makedirs(venv)
        with open(os.path.join(venv, STATE), 'w') as file:
            json.dump({'made_by': 'tools/misc/setup_env.py', 'set': name}, file)
    except OSError as error:
        raise SetupError(f'cannot write {venv}: {error.strerror}; choose another place with VENV=/path') from error
    command = [python, '-m', 'venv', venv]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=locks, start_new_session=True
    )
    try:
        said = process.communicate()[0]
    except BaseException:
        # With its session: the pip that it calls would go on writing.
        os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode != 0:
        last = (said.decode(errors='replace').strip().splitlines() or ['no message'])[-1]
        raise SetupError(f'{python} -m venv {venv} failed: {last}')


def link_configs():
    """Makes ``moganet::`` work from this folder without installing it: the links that an editable install makes."""
    folder = os.path.join(ROOT, 'moganet', '.mim')
    try:
        os.makedirs(folder, exist_ok=True)
        for name in MIM:
            if not os.path.lexists(os.path.join(folder, name)):
                os.symlink(os.path.join('..', '..', name), os.path.join(folder, name))
    except OSError:
        # A repository that cannot be written serves all the same, but for `moganet::`.
        pass


def judge_foreign(venv, goal, name):
    """Runs the doctor in an environment that is not ours, and asks for the tools of ``test``; returns the exit code."""
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
    code = subprocess.call([python, '-m', 'moganet.doctor', '--task', tasks], env=environment)
    if goal == 'test':
        here = os.path.dirname(os.path.abspath(__file__))
        code = subprocess.call([python, '-m', 'envsetup.sets', ROOT, '--set', name, '--check-dev'], cwd=here) or code
    return code


def parse(arguments):
    """Reads the command line."""
    parser = Parser(description='Sets up the environment of this repository.')
    parser.add_argument('--venv', help='the virtual environment; made when absent (.venv; .venv-classic)')
    parser.add_argument('--set', dest='name', choices=tuple(FIT), default='modern', help='of requirements/ (modern)')
    parser.add_argument('--for', dest='goal', choices=GOALS, default='all', help='what it is for (all)')
    parser.add_argument('--print', dest='show', action='store_true', help='only print the pip lines')
    parser.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.venv = options.venv or {'modern': '.venv'}.get(options.name, f'.venv-{options.name}')
    return options


def prepare(venv, wanted, name='modern'):
    """Makes the environment where it is missing or torn; returns its kind.

    Raises:
        SetupError: it has another Python than ``wanted``, or was made for another set than ``name``.
    """
    if kind_of(venv) != 'foreign':
        with alone(venv) as locks:
            kind = kind_of(venv)
            if kind == 'ours' and set_of(venv) not in (name, ''):
                raise SetupError(
                    f'{venv} holds the {set_of(venv)} set, and would lose it to the {name} one: choose another place '
                    'with VENV=/path, or remove that environment'
                )
            if kind == 'absent' or (kind == 'ours' and not is_usable(venv, FIT[name])):
                make_venv(find_python(wanted, fit=FIT[name]), venv, locks, name)
                return 'ours'
    kind = kind_of(venv)
    if wanted and os.access(python_in(venv), os.X_OK):
        check_wanted(wanted, venv)
    return kind


def main(arguments=None):
    """Brings the environment to where the goal can run; returns the exit code."""
    options = parse(arguments)
    venv = os.path.abspath(options.venv)
    try:
        if options.inside:
            from envsetup import steps

            return steps.main(ROOT, venv, options.goal, options.name)
        if options.show:
            here = os.path.dirname(os.path.abspath(__file__))
            # Whichever reads the files will do.
            python = find_python(os.environ.get('PYTHON', ''), fit=FIT['modern'] + FIT['classic'])
            return subprocess.call([python, '-m', 'envsetup.sets', ROOT, '--set', options.name], cwd=here)
        if prepare(venv, os.environ.get('PYTHON', ''), options.name) == 'foreign':
            return judge_foreign(venv, options.goal, options.name)
        sys.stdout.flush()
        inside = [python_in(venv), os.path.abspath(__file__), '--inside', '--venv', venv, '--for', options.goal]
        inside += ['--set', options.name]
        os.execv(inside[0], inside)
    except SetupError as error:
        sys.stderr.write(f'error: {error}\n')
        return 2
    except KeyboardInterrupt:
        sys.stderr.write('\nerror: interrupted; the same line goes on from here\n')
        return 130


if __name__ == '__main__':
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Ended from outside is like Ctrl-C: what was started ends, too. Whoever ignores it (nohup) wants it ignored.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.exit(main())
