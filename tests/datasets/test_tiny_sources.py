"""The split of digits and photographs: what is seen in training is never seen in validation."""

from __future__ import annotations

import numpy as np
import pytest

from moganet.datasets.tiny import sources as module
from moganet.datasets.tiny.grounds import draw_ground
from moganet.datasets.tiny.sources import PHOTOGRAPHS, SPLITS, Box, Sources, load_sources, split_digits


def test_all_digits_are_split_without_overlap(sources: Sources) -> None:
    train, val = (set(sources.index[split].tolist()) for split in SPLITS)
    assert sources.digits.shape == (1797, 8, 8)
    assert (sources.digits.min(), sources.digits.max()) == (0, 1)
    assert not train & val
    assert train | val == set(range(1797))


def test_digit_split_is_stratified(sources: Sources) -> None:
    whole = np.bincount(sources.labels, minlength=10)
    val = np.bincount(sources.labels[sources.index['val']], minlength=10)
    np.testing.assert_array_equal(val, np.round(whole * 0.2))


def test_digit_split_is_the_same_for_ever(sources: Sources) -> None:
    """Weights that were trained on an earlier day, or under another numpy, have never met today's val split."""
    labels = np.repeat(np.arange(10), 5)
    assert split_digits(labels)['val'].tolist() == [0, 8, 12, 17, 22, 29, 30, 38, 41, 49]
    assert sources.index['val'][:12].tolist() == [0, 4, 12, 15, 17, 22, 30, 34, 38, 41, 49, 52]


@pytest.mark.parametrize('photo', PHOTOGRAPHS, ids=lambda photo: photo.path.rsplit('/', 1)[1])
def test_halves_of_a_photograph_share_no_pixel(photo: module.Photograph, sources: Sources) -> None:
    height, width = sources.photographs[photo.path].shape[:2]
    train, val = (photo.half(split, height, width) for split in SPLITS)
    owners = np.zeros((height, width), dtype=int)
    for box in (train, val):
        owners[box.y : box.y + box.h, box.x : box.x + box.w] += 1
    assert owners.max() == 1
    assert not train.meets(val)
    assert (owners == 0).sum() == module.GAP * (width if photo.axis == 0 else height)
    assert min(train.w, train.h, val.w, val.h) >= 96


def test_both_sides_of_photographs_serve_for_training() -> None:
    assert {photo.train_first for photo in PHOTOGRAPHS} == {True, False}


@pytest.mark.parametrize('split', SPLITS)
def test_grounds_stay_in_their_half(split: module.Split, sources: Sources) -> None:
    photos = {photo.path: photo for photo in PHOTOGRAPHS}
    seen = set()
    for seed in range(150):
        ground = draw_ground(np.random.default_rng(seed), sources, split, 64)
        height, width = sources.photographs[ground.photograph].shape[:2]
        assert photos[ground.photograph].half(split, height, width).holds(ground.box)
        assert ground.image.shape == (64, 64, 3)
        seen.add(ground.photograph)
    assert seen == set(photos)


def test_grounds_for_people_show_nobody_else(sources: Sources) -> None:
    people = {photo.path for photo in PHOTOGRAPHS if photo.people}
    drawn = [
        draw_ground(np.random.default_rng(i), sources, 'train', 32, for_people=True).photograph for i in range(150)
    ]
    assert people
    assert not people & set(drawn)


def test_ground_pixels_come_from_the_recorded_box(sources: Sources) -> None:
    """Blanking every pixel outside the box changes nothing, blanking the box does."""
    ground = draw_ground(np.random.default_rng(3), sources, 'train', 64)
    box = ground.box
    whole = sources.photographs[ground.photograph]
    outside = np.zeros_like(whole)
    outside[box.y : box.y + box.h, box.x : box.x + box.w] = whole[box.y : box.y + box.h, box.x : box.x + box.w]
    inside = whole.copy()
    inside[box.y : box.y + box.h, box.x : box.x + box.w] = 0
    for pixels, same in ((outside, True), (inside, False)):
        changed = Sources(
            sources.digits, sources.labels, sources.index, sources.photographs | {ground.photograph: pixels}
        )
        again = draw_ground(np.random.default_rng(3), changed, 'train', 64)
        assert np.array_equal(again.image, ground.image) == same


def test_box_relations() -> None:
    box = Box(2, 3, 4, 5)
    assert box.meets(Box(5, 7, 1, 1)) and not box.meets(Box(6, 7, 1, 1)) and not box.meets(Box(5, 8, 1, 1))
    assert box.holds(Box(2, 3, 4, 5)) and not box.holds(Box(2, 3, 5, 5)) and not box.holds(Box(1, 3, 2, 2))


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match='pip install scikit-learn'):
        load_sources()


def test_digits_alone_need_no_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = module.find_spec
    monkeypatch.setattr(module, 'find_spec', lambda name: None if name == 'skimage' else find_spec(name))
    assert load_sources(with_photographs=False).photographs == {}
    with pytest.raises(FileNotFoundError, match='pip install scikit-image'):
        load_sources()
