from __future__ import annotations

from pathlib import Path

import pytest

from moganet.engine.resume import check_resumable, latest_checkpoint


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
