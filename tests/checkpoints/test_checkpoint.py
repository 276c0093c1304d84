"""What is refused of the cache can be fetched again; what a training keeps outlives the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from moganet.checkpoints import NotACheckpointError, TornFileError, UnsafeFileError, open_checkpoint
from moganet.checkpoints.download import cached_path
from moganet.checkpoints.errors import HashMismatchError

from . import files, writers
from .server import Server


def _file(**more: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(writers.timm_extracted(writers.model('custom')) | more, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    'content, error',
    [
        (lambda good: good[: len(good) // 2], TornFileError),
        (lambda good: b'<html>moved</html>', NotACheckpointError),
        (lambda good: files.program(files.called(files.named('os', 'getcwd'))), UnsafeFileError),
    ],
    ids=['torn', 'page', 'hostile'],
)
def test_a_refused_file_of_the_cache_can_be_fetched_again(
    content: Any, error: type[Exception], server: Server, tmp_path: Path
) -> None:
    """Also one that was put there by hand, whose hash the cache took for the URL's."""
    server.content = _file()
    path = cached_path(server.url())
    path.parent.mkdir(parents=True)
    bad = content(server.content)
    if error is UnsafeFileError:
        files.zip_with_pickle(path, bad)
    else:
        path.write_bytes(bad)
    for _ in range(2):
        with pytest.raises(error, match=rf'in the cache of {server.url()}: delete {path} and it is fetched again'):
            open_checkpoint(server.url())
    assert not server.requests
    path.unlink()
    assert open_checkpoint(server.url()).path == path and len(server.requests) == 1


def test_the_first_digits_of_a_hash_serve_a_url(server: Server) -> None:
    server.content = _file()
    found = open_checkpoint(server.url())
    assert open_checkpoint(server.url(), sha256=found.sha256[:8]).sha256 == found.sha256
    with pytest.raises(HashMismatchError, match=rf'0{{8}} as was given.*delete {found.path} and'):
        open_checkpoint(server.url(), sha256='0' * 8)
    # The recorded hash is right all the same.
    found.path.unlink()
    server.content = _file(metric=1)
    with pytest.raises(HashMismatchError, match='was recorded when'):
        open_checkpoint(server.url())


def test_a_local_file_that_is_refused_is_nobodys_copy(tmp_path: Path) -> None:
    (tmp_path / 'x.pth').write_bytes(_file()[:1000])
    with pytest.raises(TornFileError) as refused:
        open_checkpoint(tmp_path / 'x.pth')
    assert 'cache' not in str(refused.value)


def test_a_training_may_save_over_what_it_resumed_from(tmp_path: Path) -> None:
    """In place, as MMEngine saves: the optimizer goes on with the state that it was given."""
    model = writers.small_backbone()
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    kept = {'kept': torch.ones(1000)}
    data = {'meta': {'epoch': 1}, 'state_dict': {f'backbone.{k}': v for k, v in model.state_dict().items()},
            'optimizer': optimizer.state_dict(), 'message_hub': {'runtime_info': kept}, 'param_schedulers': [kept]}
    path = tmp_path / 'last.pth'
    torch.save(data, path)
    other = writers.small_backbone()
    resumed = torch.optim.AdamW(other.parameters())
    found = CheckpointLoader.load_checkpoint(f'moganet://{path}', map_location='cpu')
    resumed.load_state_dict(found['optimizer'])
    other.load_state_dict({name.removeprefix('backbone.'): value for name, value in found['state_dict'].items()})
    with path.open('r+b') as file:  # of the same length: a shorter file would end the process
        file.write(bytes(path.stat().st_size))
    states = zip(optimizer.state_dict()['state'].values(), resumed.state_dict()['state'].values())
    assert all(torch.equal(before[key], after[key]) for before, after in states for key in before)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    for kept_again in (found['message_hub']['runtime_info'], found['param_schedulers'][0]):
        assert torch.equal(kept_again['kept'], torch.ones(1000))
