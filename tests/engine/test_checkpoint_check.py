from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from moganet.engine.checkpoint_check import check_fit, check_resumable, latest_checkpoint, read_checkpoint, weights_of


class Model(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 2)


def test_reads_what_torch_and_mmengine_write(tmp_path: Path) -> None:
    torch.save({'state_dict': {'module.a': torch.ones(2)}, 'meta': {'epoch': 1}}, tmp_path / 'a.pth')
    assert weights_of(read_checkpoint(tmp_path / 'a.pth'))['a'].tolist() == [1, 1]
    torch.save({'b': torch.zeros(1)}, tmp_path / 'b.pth')
    assert list(weights_of(read_checkpoint(tmp_path / 'b.pth'))) == ['b']
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')


@pytest.mark.parametrize('keep', [0, 3, 10, 400])
def test_torn_anywhere(keep: int, tmp_path: Path) -> None:
    torch.save(Model().state_dict(), tmp_path / 'whole.pth')
    (tmp_path / 'torn.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:keep])
    with pytest.raises(ValueError, match='torn') as raised:
        read_checkpoint(tmp_path / 'torn.pth')
    assert '\n' not in str(raised.value) and 'Re-running' not in str(raised.value)


def test_whole_weights_fit() -> None:
    check_fit(Model(), Model().state_dict(), 'x.pth')
    with_more = {**Model().state_dict(), 'ema.weight': torch.ones(1)}
    del with_more['backbone.1.num_batches_tracked']
    check_fit(Model(), with_more, 'x.pth')


def test_a_part_fits_by_prefix() -> None:
    weights = {f'backbone.{name}': value for name, value in Model().backbone.state_dict().items()}
    check_fit(Model().backbone, weights, 'x.pth', 'backbone.')
    with pytest.raises(ValueError, match='6 of 7 are missing|5 of 7 are missing'):
        check_fit(Model().backbone, weights, 'x.pth', 'encoder.')


def test_what_is_missing_is_counted_by_module() -> None:
    weights = Model().state_dict()
    del weights['head.weight'], weights['head.bias'], weights['backbone.1.running_var']
    with pytest.raises(
        ValueError, match=r'x.pth does not fill the model.* 3 of 9 are missing \(head: 2, backbone.1: 1\)'
    ):
        check_fit(Model(), weights, 'x.pth')


def test_foreign_shapes_are_shown() -> None:
    told = r'have another shape \(backbone.0.weight: \(8, 4\) in the file, \(4, 4\) in the model; .* more\)'
    with pytest.raises(ValueError, match=told):
        check_fit(Model(), Model(width=8).state_dict(), 'x.pth')


def test_hooks_of_a_module_have_their_say() -> None:
    """ViT resizes its position embedding so; a comparison of names alone would refuse it."""
    model = nn.Linear(2, 2)

    def rename(state: dict[str, torch.Tensor], *rest: object) -> None:
        state['weight'] = state.pop('old_weight')

    model._register_load_state_dict_pre_hook(rename)
    check_fit(model, {'old_weight': torch.ones(2, 2), 'bias': torch.ones(2)}, 'x.pth')


def test_resuming_needs_more_than_weights() -> None:
    whole = dict.fromkeys(('meta', 'state_dict', 'message_hub', 'optimizer'), {})
    check_resumable(whole, 'x.pth')
    del whole['optimizer']
    with pytest.raises(ValueError, match='it has no optimizer; .*load_from'):
        check_resumable(whole, 'x.pth')


def test_latest_checkpoint_survives_a_moved_folder(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')
    (tmp_path / 'epoch_2.pth').touch()
    with pytest.raises(ValueError, match=r'/elsewhere/epoch_3.pth, which is gone; .*epoch_2.pth'):
        latest_checkpoint(tmp_path)
    (tmp_path / 'epoch_3.pth').touch()
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_3.pth')
