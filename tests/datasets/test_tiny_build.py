"""Building: from a seed, complete or not at all, never over somebody's files; and the tool's command line."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moganet.datasets.tiny import TASKS, build, plan
from moganet.datasets.tiny import build as build_function
from moganet.datasets.tiny.writers import KeypointsWriter

REPO = Path(__file__).resolve().parents[2]
TOOL = REPO / 'tools/dataset_converters/make_tiny.py'


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def _run(*args: str | Path, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {'PYTHONPATH': str(REPO), 'OMP_NUM_THREADS': '1'}
    return subprocess.run([sys.executable, TOOL, *args], cwd=cwd, env=environment, capture_output=True, text=True)


def test_same_seed_same_bytes(tiny: Path, tmp_path: Path) -> None:
    build(tmp_path, plan(size='small'))
    assert _digests(tmp_path) == _digests(tiny)
    assert len(_digests(tiny)) > 300


def test_another_seed_gives_other_pictures(tiny: Path, tmp_path: Path) -> None:
    build(tmp_path, plan(['detection', 'pose'], 'small'), seed=1)
    for folder in ('coco/train2017', 'coco/val2017', 'coco_pose/train2017', 'coco_pose/val2017'):
        assert not set(_digests(tmp_path / folder).values()) & set(_digests(tiny / folder).values())


def test_more_pictures_leave_the_first_ones(tiny: Path, tmp_path: Path) -> None:
    build(tmp_path, plan(['segmentation', 'pose'], 'small', num_train=27, num_val=9))
    for folder in ('ade/ADEChallengeData2016', 'coco_pose'):
        fewer, more = _digests(tiny / folder), _digests(tmp_path / folder)
        pictures = [name for name in fewer if name.endswith(('.jpg', '.png'))]
        assert pictures and len(more) > len(fewer)
        assert {name: more[name] for name in pictures} == {name: fewer[name] for name in pictures}


def test_a_task_alone_gives_the_same_as_with_others(tiny: Path, tmp_path: Path) -> None:
    for task, folder in (('segmentation', 'ade'), ('detection', 'coco')):
        build(tmp_path, plan([task], 'small'))
        assert _digests(tmp_path / folder) == _digests(tiny / folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['ade', 'coco']


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    wanted = plan(['detection'], num_train=2, num_val=1)
    assert [report.state for report in build(tmp_path, wanted)] == ['made']
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert [report.state for report in build(tmp_path, wanted)] == ['kept']
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before


def test_other_arguments_or_lost_files_make_it_anew(tmp_path: Path) -> None:
    build(tmp_path, plan(['detection'], num_train=2, num_val=1))
    first = _digests(tmp_path)
    assert [r.state for r in build(tmp_path, plan(['detection'], num_train=3, num_val=1))] == ['remade']
    assert len(_digests(tmp_path)) == len(first) + 1
    build(tmp_path, plan(['detection'], num_train=2, num_val=1))
    next((tmp_path / 'coco/train2017').iterdir()).unlink()
    assert [r.state for r in build(tmp_path, plan(['detection'], num_train=2, num_val=1))] == ['remade']
    assert _digests(tmp_path) == first


def test_files_of_the_users_own_neither_spoil_a_set_nor_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, others = plan(['detection'], num_train=2, num_val=1), plan(['detection'], num_train=3, num_val=1)
    build(tmp_path, wanted)
    own = [tmp_path / 'coco/.DS_Store', tmp_path / 'coco/train2017/mine.jpg']
    for path in own:
        path.write_text('mine')
    assert [report.state for report in build(tmp_path, wanted)] == ['kept']
    before = _digests(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(ValueError, match=r'anew.*: \.DS_Store and 1 more; .*--out'):
        # Told before any work is done.
        patched.setitem(build.__globals__, 'load_sources', lambda **_: pytest.fail('work was begun'))
        build(tmp_path, others)
    assert _digests(tmp_path) == before
    for path in own:
        path.unlink()
    assert [report.state for report in build(tmp_path, others)] == ['remade']


def test_a_file_that_comes_while_a_set_is_made_anew_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, plan(['pose'], num_train=2, num_val=1))
    before = _digests(tmp_path)
    finish = KeypointsWriter.finish

    def meanwhile(self: KeypointsWriter) -> None:
        finish(self)
        (tmp_path / 'coco_pose/mine.txt').write_text('mine')

    monkeypatch.setattr(KeypointsWriter, 'finish', meanwhile)
    with pytest.raises(ValueError, match=r'mine\.txt; move that away'):
        build(tmp_path, plan(['pose'], num_train=3, num_val=1))
    (tmp_path / 'coco_pose/mine.txt').unlink()
    assert _digests(tmp_path) == before


def test_a_stray_file_does_not_stand_for_a_lost_one(tmp_path: Path) -> None:
    wanted = plan(['detection'], num_train=2, num_val=1)
    build(tmp_path, wanted)
    lost = next((tmp_path / 'coco/train2017').iterdir())
    lost.rename(lost.with_name('other.jpg'))
    with pytest.raises(ValueError, match=r'train2017/other\.jpg'):
        build(tmp_path, wanted)


def test_a_manifest_that_counts_its_files_is_understood(tmp_path: Path) -> None:
    """As they were written before they listed them."""
    wanted = plan(['detection'], num_train=2, num_val=1)
    build(tmp_path, wanted)
    manifest = tmp_path / 'coco/tiny.json'
    content = json.loads(manifest.read_text())
    assert 'annotations/instances_train2017.json' in content['files'] and len(content['files']) == 5
    manifest.write_text(json.dumps(content | {'files': 5}))
    assert [report.state for report in build(tmp_path, wanted)] == ['kept']
    (tmp_path / 'coco/mine.txt').write_text('mine')
    with pytest.raises(ValueError, match=r'holds 6 files where this tool had written 5; remove the folder'):
        build(tmp_path, wanted)
    (tmp_path / 'coco/mine.txt').unlink()
    assert [r.state for r in build(tmp_path, plan(['detection'], num_train=3, num_val=1))] == ['remade']
    assert isinstance(json.loads(manifest.read_text())['files'], list)


def test_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: KeypointsWriter) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(KeypointsWriter, 'finish', fail)
    with pytest.raises(OSError, match='No space left'):
        build(tmp_path, plan(['pose'], num_train=2, num_val=1))
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_former_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, plan(['pose'], num_train=2, num_val=1))
    before = _digests(tmp_path)
    monkeypatch.setattr(KeypointsWriter, 'finish', lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(tmp_path, plan(['pose'], num_train=3, num_val=1))
    assert _digests(tmp_path) == before


def test_a_killed_build_leaves_no_half_set(tmp_path: Path) -> None:
    environment = os.environ | {'PYTHONPATH': str(REPO), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, TOOL, '--out', tmp_path / 'tiny', '--tasks', 'pose']
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / 'tiny').glob('.*/train2017/*.jpg')) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (part,) = (tmp_path / 'tiny').iterdir()
    assert part.name.endswith('.part') and not (tmp_path / 'tiny/coco_pose').exists()
    os.utime(part, (0, 0))  # long ago
    build(tmp_path / 'tiny', plan(['pose'], num_train=2, num_val=1))
    assert [path.name for path in (tmp_path / 'tiny').iterdir()] == ['coco_pose']


def test_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower one finds the set there when it comes to give its own the name, and leaves it."""
    wanted = plan(['pose'], num_train=2, num_val=1)
    finish = KeypointsWriter.finish

    def overtaken(self: KeypointsWriter) -> None:
        finish(self)
        monkeypatch.setattr(KeypointsWriter, 'finish', finish)
        build_function(tmp_path, wanted)

    monkeypatch.setattr(KeypointsWriter, 'finish', overtaken)
    assert [report.state for report in build(tmp_path, wanted)] == ['kept']
    assert [path.name for path in tmp_path.iterdir()] == ['coco_pose']


@pytest.mark.parametrize('place', ['coco', 'notes.txt', 'imagenet/train'])
def test_foreign_files_are_not_touched(tmp_path: Path, place: str) -> None:
    foreign = tmp_path / place
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text('mine')
    with pytest.raises(ValueError, match='--out'):
        build(tmp_path, plan(size='small'))
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == [foreign]


def test_plan_refuses_what_cannot_be() -> None:
    assert tuple(plan()) == TASKS
    assert plan(['pose'], num_val=3) == {'pose': {'train': 1200, 'val': 3}}
    for arguments, message in (
        ({'tasks': ['pose', 'video']}, "unknown task 'video'; choose among classification, detection"),
        ({'tasks': ['pose', 'detection', 'pose']}, "task 'pose' is given more than once"),
        ({'tasks': []}, 'no task is given'),
        ({'size': 'huge'}, "unknown size 'huge'; choose among demo, small"),
        ({'num_train': 0}, 'at least 1|1 to 1438'),
        ({'tasks': ['classification'], 'num_val': 360}, '360 val pictures .* 1 to 359'),
    ):
        with pytest.raises(ValueError, match=message):
            plan(**arguments)


def test_command_line(tmp_path: Path) -> None:
    arguments = ('--out', 'here', '--tasks', 'classification', 'detection', '--num-train', '20', '--num-val', '10')
    made = _run(*arguments, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert 'classification: here/imagenet (20 train, 10 val, ' in made.stdout
    assert 'detection: here/coco (20 train, 10 val, ' in made.stdout
    assert json.loads((tmp_path / 'here/coco/tiny.json').read_text())['seed'] == 0
    kept = _run(*arguments, cwd=tmp_path)
    assert kept.returncode == 0 and kept.stdout.count('kept as it was') == 2
    shutil.rmtree(tmp_path / 'here')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--tasks', 'pose', 'video'], "unknown task 'video'; choose among"),
        (['--size', 'huge'], "unknown size 'huge'"),
        (['--num-train', '-1'], 'must be'),
        (['--seed', '-1'], 'must be 0 or more'),
        (['--seed', 'x'], "invalid int value: 'x'"),
        (['--colour'], 'unrecognized arguments: --colour'),
        (['--out', 'file.txt'], 'file.txt is not a folder'),
        (['--out', 'file.txt/below'], 'file.txt/below'),
        (['--out', '.'], 'file.txt'),
        (['--out', '/proc/tiny'], '/proc/tiny'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, list) else None,
)
def test_command_line_errors_are_one_line(
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / 'file.txt').write_text('mine')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert printed.out == ''
    assert printed.err.startswith('error: ') and printed.err.count('\n') == 1
    assert message in printed.err
    assert [path.name for path in tmp_path.rglob('*')] == ['file.txt']


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    """As a user meets it whose Python has none of what the project needs."""
    # -S leaves site-packages out, -I the environment's PYTHONPATH.
    done = subprocess.run([sys.executable, '-I', '-S', TOOL], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == 'error: numpy is not installed; see `python -m moganet.doctor`\n'
