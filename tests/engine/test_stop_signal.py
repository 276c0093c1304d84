from __future__ import annotations

import signal
from pathlib import Path

import pytest

from moganet.checkpoints import open_checkpoint
from moganet.engine.hooks import Stopped

from .toy import Send, runner, same, weights


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize('at', [0, 3, 5])
def test_a_run_that_is_asked_to_stop_goes_on_as_if_it_had_not(tmp_path: Path, number: int, at: int) -> None:
    whole = runner(tmp_path / 'whole')
    whole.train()
    handler = signal.getsignal(number)
    stopped = runner(tmp_path / 'run', custom_hooks=[Send(number, at)])
    with pytest.raises(Stopped) as caught:
        stopped.train()
    path = tmp_path / 'run/interrupted.pth'
    assert caught.value.code == 0
    assert f'stopped by {signal.Signals(number).name} after iteration {at + 1}: {path}' in caught.value.told
    assert signal.getsignal(number) == handler
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(path)
    assert open_checkpoint(path, foreign=True).data['meta']['iter'] == at + 1

    again = runner(tmp_path / 'run', resume=True)
    again.train()
    assert same(weights(again), weights(whole))
    assert not path.exists() and (tmp_path / 'run/epoch_2.pth').is_file()


def test_nothing_is_listened_to_after_a_run(tmp_path: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    runner(tmp_path).train()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == handlers
