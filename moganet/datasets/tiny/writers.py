"""Writes the tiny sets in the benchmarks' own formats: ImageNet folders, COCO json, ADE20K folders.

Each writer fills one folder: `add` for each sample, then `finish`. The files depend on the samples alone (no date, no
path), so the same samples give the same bytes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from moganet.datasets.tiny.digits import classification_picture
from moganet.datasets.tiny.figures import Figure, FigurePicture
from moganet.datasets.tiny.grounds import Ground
from moganet.datasets.tiny.masks import box_of, polygons_of
from moganet.datasets.tiny.puppet import KEYPOINT_NAMES, SKELETON
from moganet.datasets.tiny.scenes import PlacedDigit, Scene
from moganet.datasets.tiny.sources import DIGIT_NAMES, SPLITS, Sources, Split

_JPEG_QUALITY = 95
_COCO_YEAR = {split: f'{split}2017' for split in SPLITS}
_ADE_FOLDER: dict[Split, str] = {'train': 'training', 'val': 'validation'}
FIRST_ID: dict[Split, int] = {'train': 1, 'val': 500_001}  # of a picture: no number serves in both splits, as in COCO
_LICENSES = {
    'sklearn': {'id': 1, 'name': 'CC BY 2.0', 'url': 'https://creativecommons.org/licenses/by/2.0/'},
    'skimage': {
        'id': 2,
        'name': 'CC0 1.0 or public domain',
        'url': 'https://creativecommons.org/publicdomain/zero/1.0/',
    },
}


def save_jpeg(image: NDArray[np.uint8], path: Path) -> None:
    """Write an RGB picture with full colour resolution: thin coloured strokes keep their colour."""
    Image.fromarray(image).save(path, quality=_JPEG_QUALITY, subsampling=0)


class ImageNetWriter:
    """ImageNet folders: train/zero/0000.png ..., and meta/train.txt with the labels 0 to 9.

    A file is named after the digit's index in scikit-learn's set. The lists in meta/ are what mmpretrain's ImageNet
    reads first; without them a label would be the place of a folder in alphabetical order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: dict[Split, list[str]] = {'train': [], 'val': []}
        for name in ('meta', *(f'{split}/{digit}' for split in SPLITS for digit in DIGIT_NAMES)):
            (folder / name).mkdir(parents=True)

    def add(self, split: Split, source: int, sources: Sources) -> None:
        label = int(sources.labels[source])
        name = f'{DIGIT_NAMES[label]}/{source:04d}.png'
        picture = classification_picture(sources.digits[source])
        Image.fromarray(np.repeat(picture[..., None], 3, axis=2)).save(self.folder / split / name)
        self.lines[split].append(f'{name} {label}\n')

    def finish(self) -> None:
        for split, lines in self.lines.items():
            (self.folder / 'meta' / f'{split}.txt').write_text(''.join(lines), encoding='ascii')


class _CocoWriter:
    """What the two kinds of COCO annotations share: pictures, numbers, and the json files."""

    kind: str
    categories: list[dict[str, Any]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: dict[Split, list[dict[str, Any]]] = {'train': [], 'val': []}
        self.annotations: dict[Split, list[dict[str, Any]]] = {'train': [], 'val': []}
        (folder / 'annotations').mkdir(parents=True)
        for year in _COCO_YEAR.values():
            (folder / year).mkdir()

    def add_image(self, split: Split, index: int, image: NDArray[np.uint8], ground: Ground) -> int:
        """Write a picture and return its number."""
        image_id = FIRST_ID[split] + index
        name = f'{image_id:012d}.jpg'
        save_jpeg(image, self.folder / _COCO_YEAR[split] / name)
        self.images[split].append(
            {
                'id': image_id,
                'file_name': name,
                'width': image.shape[1],
                'height': image.shape[0],
                'license': _LICENSES[ground.photograph.split('/')[0]]['id'],
                'source': {'photograph': ground.photograph, 'box': ground.box.to_list()},
            }
        )
        return image_id

    def add_annotation(self, split: Split, image_id: int, visible: NDArray[np.bool_], rest: dict[str, Any]) -> None:
        """Annotate one object by the pixels of it that can be seen; `rest` is what its kind adds."""
        annotations = self.annotations[split]
        annotations.append(
            {
                'id': len(annotations) + FIRST_ID[split],
                'image_id': image_id,
                'iscrowd': 0,
                'bbox': box_of(visible),
                'area': int(visible.sum()),
                'segmentation': polygons_of(visible),
                **rest,
            }
        )

    def finish(self) -> None:
        for split, year in _COCO_YEAR.items():
            content = {
                'info': {
                    'description': f'tiny {self.kind}, {split}: images of scikit-learn and scikit-image, composed',
                    'url': '',
                    'version': '1.0',
                    'year': 2017,
                    'contributor': '',
                    'date_created': '',
                },
                'licenses': list(_LICENSES.values()),
                'categories': self.categories,
                'images': self.images[split],
                'annotations': self.annotations[split],
            }
            path = self.folder / 'annotations' / f'{self.kind}_{year}.json'
            path.write_text(json.dumps(content, separators=(',', ':')), encoding='ascii')


class InstancesWriter(_CocoWriter):
    """COCO instances: each digit with box, area and mask, and the index of its source among scikit-learn's digits."""

    kind = 'instances'
    categories = [{'id': i, 'name': name, 'supercategory': 'digit'} for i, name in enumerate(DIGIT_NAMES, start=1)]

    def add(self, split: Split, index: int, scene: Scene) -> None:
        image_id = self.add_image(split, index, scene.image, scene.ground)
        for digit in scene.digits:
            self.add_annotation(split, image_id, digit.visible, self._describe(digit))

    @staticmethod
    def _describe(digit: PlacedDigit) -> dict[str, Any]:
        return {'category_id': digit.label + 1, 'source_digit': digit.source}


class KeypointsWriter(_CocoWriter):
    """COCO person keypoints: each figure with box, area, mask and its 17 keypoints."""

    kind = 'person_keypoints'
    categories = [
        {
            'id': 1,
            'name': 'person',
            'supercategory': 'person',
            'keypoints': list(KEYPOINT_NAMES),
            'skeleton': [list(bone) for bone in SKELETON],
        }
    ]

    def add(self, split: Split, index: int, picture: FigurePicture) -> None:
        image_id = self.add_image(split, index, picture.image, picture.ground)
        for figure in picture.figures:
            self.add_annotation(split, image_id, figure.visible, self._describe(figure))

    @staticmethod
    def _describe(figure: Figure) -> dict[str, Any]:
        flat = [number for x, y, flag in figure.keypoints.tolist() for number in (x, y, int(flag))]
        return {'category_id': 1, 'keypoints': flat, 'num_keypoints': int((figure.keypoints[:, 2] > 0).sum())}


class AdeWriter:
    """ADE20K folders: pictures, label maps of the same names, and sources.json, which says what each is made of."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / 'ADEChallengeData2016'
        self.sources: dict[str, dict[str, Any]] = {}
        for kind in ('images', 'annotations'):
            for name in _ADE_FOLDER.values():
                (self.root / kind / name).mkdir(parents=True)

    def add(self, split: Split, index: int, scene: Scene) -> None:
        stem, folder = f'ADE_{split}_{index + 1:08d}', _ADE_FOLDER[split]
        save_jpeg(scene.image, self.root / 'images' / folder / f'{stem}.jpg')
        Image.fromarray(scene.labels()).save(self.root / 'annotations' / folder / f'{stem}.png')
        self.sources[f'{folder}/{stem}'] = {
            'photograph': scene.ground.photograph,
            'box': scene.ground.box.to_list(),
            'digits': [digit.source for digit in scene.digits],
        }

    def finish(self) -> None:
        path = self.root / 'sources.json'
        path.write_text(json.dumps(self.sources, separators=(',', ':')), encoding='ascii')
