"""The command lines of ``tools/train.py`` and ``tools/test.py``, and how a tool tells a user's error."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from mmengine.config import DictAction

from ..deployment import FORMATS
from ..environment import is_main_process
from .failures import give_way, is_lost_peer, leave_to_others, local_rank, name_of_process, what_was_lost
from .faults import RunFault
from .launch import TestOptions, TrainOptions
from .strategy_option import STRATEGIES

USER_ERRORS = (ValueError, KeyError, FileNotFoundError)
_MMENGINE_PREFIX = re.compile(r'^class `\w+` in [\w/.]+: ')


_CHECKPOINT = 'a path, a URL, or a name of the zoo, such as moganet-tiny_in1k'
_DOORS = (
    'load_from=X and model.backbone.init_cfg=dict(type="Pretrained", checkpoint=X), in the config or by --cfg-options, '
    f'start from a checkpoint: {_CHECKPOINT}; docs/checkpoints.md.'
)


class _CfgOptions(DictAction):
    """MMEngine's KEY=VALUE, with an error for what is none, and with the blanks of a path kept."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        options = dict(getattr(namespace, self.dest) or {})
        for word in values or ():
            key, equals, value = word.partition('=')
            if not equals or not key:
                parser.error(f'--cfg-options {word}: KEY=VALUE is needed')
            if not re.search(r'[,()\[\]]', value):
                options[key] = self._parse_int_float_bool(value.strip('\'"'))
                continue
            try:
                options[key] = self._parse_iterable(value)  # drops blanks
            except AssertionError:
                parser.error(f'--cfg-options {word}: its brackets do not match')
        setattr(namespace, self.dest, options)


class ToolParser(argparse.ArgumentParser):
    """A parser whose errors look like the tool's own: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        print_error(f'{message}; see {self.prog} --help')
        sys.exit(2)


def _parser(name: str, purpose: str) -> argparse.ArgumentParser:
    parser = ToolParser(prog=name, description=purpose)
    parser.add_argument('config', metavar='CONFIG', help='config file')
    return parser


def config_parser(name: str, purpose: str) -> argparse.ArgumentParser:
    """Return the parser of a tool that looks at a config: CONFIG and ``--cfg-options``.

    Args:
        name: the tool's path in the repository.
        purpose: what it does, for ``--help``.
    """
    parser = _parser(name, purpose)
    add_cfg_options(parser)
    return parser


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser ``--cfg-options``."""
    changes = 'changes to the config'
    parser.add_argument('--cfg-options', nargs='+', action=_CfgOptions, default={}, metavar='KEY=VALUE', help=changes)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--work-dir', metavar='DIR', help='where logs and checkpoints go; default: work_dirs/<name of the config>')
    add_cfg_options(parser)
    add('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='what started the processes')
    add('--seed', type=int, metavar='N', help='seed of every random number generator; default: a random one')
    add('--deterministic', action='store_true', help='have torch use deterministic algorithms alone')
    # torch.distributed.launch passes this one; torchrun does not.
    add('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/train.py``."""
    parser = _training_parser('tools/train.py', 'Train a model of any of the four tasks.')
    preflight_help = 'check what can be checked before the first step, and end; exit code 1 if a check failed'
    parser.add_argument('--preflight', action='store_true', help=preflight_help)
    return parser


def preflight_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/misc/preflight.py``."""
    purpose = 'Check all that a training needs, before its first step: what `tools/train.py CONFIG --preflight` does.'
    parser = _training_parser('tools/misc/preflight.py', purpose)
    parser.epilog = 'Nothing is written or fetched. Exit code: 0 when a run may begin, 1 when a check failed.'
    gpus_help = 'processes of the run, a GPU each; default: as many as the launcher has started, or 1'
    parser.add_argument('gpus', metavar='GPUS', nargs='?', type=_at_least_one, help=gpus_help)
    return parser


def _at_least_one(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f'{word!r} is no number of processes; 1 or more is needed')
    return int(word)


def _training_parser(name: str, purpose: str) -> argparse.ArgumentParser:
    parser = _parser(name, purpose)
    parser.epilog = _DOORS
    _add_common(parser)
    add = parser.add_argument
    add('--resume', nargs='?', const='auto', metavar='auto|PATH', help='go on from the last checkpoint, or from PATH')
    amp_help = 'mixed precision; auto: fp16 on a GPU, bf16 on a CPU'
    add('--amp', nargs='?', const='auto', choices=['auto', 'bf16', 'fp16'], help=amp_help)
    strategy_help = 'what each process keeps: ddp (default) the whole model, the others a part; docs/runs.md'
    add('--strategy', choices=STRATEGIES, help=strategy_help)
    add('--auto-scale-lr', action='store_true', help='scale the learning rate by batch / auto_scale_lr.base_batch_size')
    return parser


def test_parser() -> argparse.ArgumentParser:
    """Return the parser of ``tools/test.py``."""
    parser = _parser('tools/test.py', 'Evaluate a checkpoint on the test set of a config.')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help=_CHECKPOINT)
    _add_common(parser)
    add = parser.add_argument
    add('--tta', action='store_true', help="test-time augmentation: the config's own, or a horizontal flip")
    add('--fused', action='store_true', help='evaluate the fused form of the backbone: the same function, faster')
    backend_help = 'export the fused form, hold it to torch, and evaluate it in that runtime: docs/export.md'
    add('--backend', choices=[*FORMATS], help=backend_help)
    add('--show-dir', metavar='DIR', help='write pictures of predictions beside the truth, up to 50 over the test set')
    add('--out', metavar='FILE.pkl', help='write the predictions to a pickle')
    return parser


test_parser.__test__ = False  # type: ignore[attr-defined]  # the name does not make it a test for pytest


def parse_train(argv: Sequence[str] | None = None) -> TrainOptions:
    """Parse the command line of ``tools/train.py``."""
    return TrainOptions(**_parse_training(train_parser(), argv))


def parse_preflight(argv: Sequence[str] | None = None) -> tuple[TrainOptions, int | None]:
    """Parse the command line of ``tools/misc/preflight.py``; return the options and GPUS."""
    values = _parse_training(preflight_parser(), argv)
    gpus = values.pop('gpus')
    return TrainOptions(**values, preflight=True), gpus


def _parse_training(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> dict[str, Any]:
    values = vars(parser.parse_args(_spell_out(sys.argv[1:] if argv is None else list(argv))))
    _note_local_rank(values.pop('local_rank'))
    return values


def parse_test(argv: Sequence[str] | None = None) -> TestOptions:
    """Parse the command line of ``tools/test.py``."""
    values = vars(test_parser().parse_args(sys.argv[1:] if argv is None else list(argv)))
    _note_local_rank(values.pop('local_rank'))
    return TestOptions(**values)


def _spell_out(argv: list[str]) -> list[str]:
    """Keep ``--amp CONFIG`` and ``--resume CONFIG`` from taking the config for their value."""
    spelled = []
    for index, word in enumerate(argv):
        following = argv[index + 1] if index + 1 < len(argv) else ''
        takes_config = following.endswith('.py') and word in ('--amp', '--resume')
        spelled.append(f'{word}=auto' if takes_config else word)
    return spelled


def _note_local_rank(rank: int | None) -> None:
    os.environ.setdefault('LOCAL_RANK', local_rank() if rank is None else str(rank))


def print_error(error: BaseException | str) -> None:
    """Print ``error: ...`` on stderr, in one line; of several processes on a machine the first one speaks."""
    if local_rank() == '0':
        _print_line(error)


def _print_own_error(error: BaseException | str) -> None:
    """Print ``error: process 3: ...``, what this process alone may have found, unless the first one tells the same."""
    give_way()
    _print_line(error)


def _print_line(error: BaseException | str) -> None:
    # str() of a KeyError is in quotes.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = _MMENGINE_PREFIX.sub('', ' '.join(text.split()))
    print(': '.join(['error', *filter(None, [name_of_process()]), text]), file=sys.stderr, flush=True)


def run_tool(prepare: Callable[[], Callable[[], None]]) -> int:
    """Run a tool in two steps; return its exit code.

    Args:
        prepare: checks everything and returns the work. A user's error in it is told in one line, with exit code 2, and
            so is a fault of the run in the work itself, with exit code 1; any other error there keeps its traceback,
            but for that of a process that has lost another one.
    """
    with _only_the_first_prints():
        try:
            work = prepare()
        except USER_ERRORS as error:
            _print_own_error(error)
            return 2
        try:
            work()
        except RunFault as fault:
            _print_own_error(fault)
            return 1
        except Exception as error:
            if not is_lost_peer(error):
                give_way()
                if name_of_process():
                    print(f'{name_of_process()} ends by this:', file=sys.stderr, flush=True)
                raise
            if leave_to_others():
                _print_line(f'another process has ended, or cannot be reached; it tells why ({what_was_lost(error)})')
            return 1
    return 0


@contextlib.contextmanager
def _only_the_first_prints() -> Iterator[None]:
    """Drop what other processes than the first print and warn: the toolboxes do so on every rank."""
    if is_main_process():
        yield
        return
    with open(os.devnull, 'w', encoding='utf-8') as nowhere, contextlib.redirect_stdout(nowhere):
        warnings.simplefilter('ignore')
        yield
