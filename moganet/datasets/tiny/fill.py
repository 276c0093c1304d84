"""Composes the samples of the tiny sets, each from a generator of its own, and hands them to the sets' writers."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moganet.datasets.tiny.figures import compose_picture
from moganet.datasets.tiny.hand_pictures import PICTURE_SIZE, compose_view, draw_look
from moganet.datasets.tiny.hand_writer import InterHandWriter, Shot
from moganet.datasets.tiny.hands import draw_cameras, draw_frame
from moganet.datasets.tiny.scenes import compose_scene
from moganet.datasets.tiny.sources import SPLITS, Sources, Split
from moganet.datasets.tiny.writers import AdeWriter, ImageNetWriter, InstancesWriter, KeypointsWriter

# Tasks of one stream show the same pictures.
STREAMS = {
    'classification': 'digits', 'detection': 'scenes', 'segmentation': 'scenes', 'pose': 'figures', 'hands': 'hands',
}  # fmt: skip
# The numbers keep the streams of random numbers apart; hands have three, since several pictures show one frame, and
# several frames one person before the same cameras.
_STREAM_NUMBERS = {'digits': 0, 'scenes': 1, 'figures': 2, 'hands': 3, 'frames': 4, 'captures': 5}
_SPLIT_NUMBERS: dict[Split, int] = {'train': 0, 'val': 1}

Counts = dict[Split, int]


def fill(parts: dict[str, Path], counts: Counts, seed: int, sources: Sources) -> None:
    """Write sets of one stream, whose pictures are composed once.

    Args:
        parts: for each task its empty folder.
        counts: pictures of each split.
        seed: decides everything that is random.
        sources: the images that the pictures are made of.
    """
    if 'classification' in parts:
        _fill_digits(parts['classification'], counts, sources)
    elif 'pose' in parts:
        figures = KeypointsWriter(parts['pose'])
        for split, index in _indices(counts):
            figures.add(split, index, compose_picture(_generator(seed, 'figures', split, index), sources, split))
        figures.finish()
    elif 'hands' in parts:
        _fill_hands(parts['hands'], counts, seed, sources)
    else:
        writers = [(InstancesWriter if task == 'detection' else AdeWriter)(part) for task, part in parts.items()]
        for split, index in _indices(counts):
            scene = compose_scene(_generator(seed, 'scenes', split, index), sources, split)
            for scenes in writers:
                scenes.add(split, index, scene)
        for scenes in writers:
            scenes.finish()


def _fill_digits(folder: Path, counts: Counts, sources: Sources) -> None:
    writer = ImageNetWriter(folder)
    for split in SPLITS:
        for source in _balanced(sources, split)[: counts[split]]:
            writer.add(split, int(source), sources)
    writer.finish()


def _fill_hands(folder: Path, counts: Counts, seed: int, sources: Sources) -> None:
    writer = InterHandWriter(folder)
    for split, index in _indices(counts):
        shot = Shot.of(index)
        person = _generator(seed, 'captures', split, shot.capture)
        cameras, look = draw_cameras(person, PICTURE_SIZE), draw_look(person)
        frame = draw_frame(_generator(seed, 'frames', split, shot.frame), cameras, PICTURE_SIZE)
        rng = _generator(seed, 'hands', split, index)
        picture = compose_view(rng, sources, split, frame, cameras[shot.camera], look)
        writer.add(split, shot, frame, cameras, picture)
    writer.finish()


def _indices(counts: Counts) -> Iterable[tuple[Split, int]]:
    return ((split, index) for split in SPLITS for index in range(counts[split]))


def _generator(seed: int, stream: str, split: Split, index: int) -> np.random.Generator:
    """The generator of one picture, frame or capture, so that none depends on how many others there are."""
    key = [seed, _STREAM_NUMBERS[stream], _SPLIT_NUMBERS[split], index]
    return np.random.default_rng(np.random.SeedSequence(key))


def _balanced(sources: Sources, split: Split) -> NDArray[np.int64]:
    """The digits of a split, the classes taking turns: any number of the first holds each class about equally often."""
    index = sources.index[split]
    labels = sources.labels[index]
    turn = np.array([int((labels[:place] == label).sum()) for place, label in enumerate(labels)])
    return np.asarray(index[np.lexsort((labels, turn))], dtype=np.int64)
