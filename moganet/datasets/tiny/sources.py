"""The real images that the tiny sets are made of, and how they are split into train and val.

Two installed packages carry them, so nothing is downloaded: scikit-learn (1,797 handwritten digits, two photographs)
and scikit-image (photographs and textures). Their files are read by path, which avoids importing either package.
"""

import gzip
import hashlib
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Split = Literal['train', 'val']
SPLITS: tuple[Split, ...] = get_args(Split)
DIGIT_NAMES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')

# Pixels between the halves of a photograph, which belong to neither: so the halves share no JPEG block (8 x 8) either.
GAP = 16
VAL_SHARE = 0.2  # of the digits of each class
_DISTRIBUTIONS = {'sklearn': 'scikit-learn', 'skimage': 'scikit-image'}


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels: the columns x to x + w - 1 and the rows y to y + h - 1."""

    x: int
    y: int
    w: int
    h: int

    def meets(self, other: 'Box') -> bool:
        """Whether the two rectangles share a pixel."""
        return (
            self.x < other.x + other.w
            and other.x < self.x + self.w
            and self.y < other.y + other.h
            and other.y < self.y + self.h
        )

    def holds(self, other: 'Box') -> bool:
        """Whether the other rectangle lies wholly within this one."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.w <= self.x + self.w
            and other.y + other.h <= self.y + self.h
        )

    def to_list(self) -> list[int]:
        """The box as COCO writes it: x, y, width, height."""
        return [self.x, self.y, self.w, self.h]


@dataclass(frozen=True)
class Photograph:
    """Where one photograph lies in its package, and which half of it is for training.

    Args:
        path: the file within the site-packages folder; its first part is the package.
        axis: the axis that is cut in two: 0 gives a top and a bottom half, 1 a left and a right one.
        train_first: whether the top or left half is the one for training.
        people: whether a person can be seen, who would be unlabelled in a picture of figures.
    """

    path: str
    axis: int
    train_first: bool
    people: bool = False

    @property
    def package(self) -> str:
        return self.path.split('/')[0]

    def half(self, split: Split, height: int, width: int) -> Box:
        """The rectangle that a split may use of this photograph, whose size in pixels is given."""
        first = (split == 'train') == self.train_first
        length = height if self.axis == 0 else width
        near, far = length // 2 - GAP // 2, length // 2 + GAP // 2
        start, stop = (0, near) if first else (far, length)
        if self.axis == 0:
            return Box(0, start, width, stop - start)
        return Box(start, 0, stop - start, height)


# Natural photographs and textures inside the wheels. Left out: drawings, pages of text, blurred and very small ones.
PHOTOGRAPHS: tuple[Photograph, ...] = (
    Photograph('sklearn/datasets/images/china.jpg', axis=0, train_first=False),
    Photograph('sklearn/datasets/images/flower.jpg', axis=1, train_first=True),
    Photograph('skimage/data/astronaut.png', axis=1, train_first=True, people=True),
    Photograph('skimage/data/brick.png', axis=1, train_first=False),
    Photograph('skimage/data/camera.png', axis=1, train_first=True, people=True),
    Photograph('skimage/data/chelsea.png', axis=1, train_first=False),
    Photograph('skimage/data/coffee.png', axis=1, train_first=True),
    Photograph('skimage/data/coins.png', axis=1, train_first=False),
    Photograph('skimage/data/grass.png', axis=1, train_first=True),
    Photograph('skimage/data/gravel.png', axis=1, train_first=False),
    Photograph('skimage/data/hubble_deep_field.jpg', axis=1, train_first=True),
    Photograph('skimage/data/ihc.png', axis=1, train_first=False),
    Photograph('skimage/data/moon.png', axis=0, train_first=True),
    Photograph('skimage/data/motorcycle_left.png', axis=1, train_first=False),
    Photograph('skimage/data/retina.jpg', axis=1, train_first=True),
    Photograph('skimage/data/rocket.jpg', axis=1, train_first=False),
)
_DIGITS = 'sklearn/datasets/data/digits.csv.gz'


def locate(path: str) -> Path:
    """The file on disk for a path whose first part is a package, without importing that package.

    Raises:
        FileNotFoundError: the package, or the file in it, is not installed.
    """
    package, rest = path.split('/', 1)
    distribution = _DISTRIBUTIONS[package]
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise FileNotFoundError(
            f'{distribution} is not installed, which carries images for the tiny sets; pip install {distribution}'
        )
    file = Path(folders[0]) / rest
    if not file.is_file():
        raise FileNotFoundError(f'{file} is not there; pip install --force-reinstall --no-deps {distribution}')
    return file


@dataclass(frozen=True)
class Sources:
    """Every source image, read once.

    Attributes:
        digits: (1797, 8, 8) float32, ink from 0 to 1.
        labels: (1797,) the digit that was written.
        index: for each split the digits that it may use, in ascending order.
        photographs: for each path of PHOTOGRAPHS an (H, W, 3) RGB picture.
    """

    digits: NDArray[np.float32]
    labels: NDArray[np.int64]
    index: dict[Split, NDArray[np.int64]]
    photographs: dict[str, NDArray[np.uint8]] = field(repr=False)


def load_sources(with_photographs: bool = True) -> Sources:
    """Read the digits and, unless told otherwise, the photographs.

    Raises:
        FileNotFoundError: a package that carries them is not installed.
    """
    with gzip.open(locate(_DIGITS), 'rt', encoding='ascii') as file:
        table = np.loadtxt(file, delimiter=',', dtype=np.float32)
    labels = table[:, -1].astype(np.int64)
    photographs = {photo.path: _read_rgb(photo.path) for photo in PHOTOGRAPHS} if with_photographs else {}
    digits = (table[:, :-1].reshape(-1, 8, 8) / 16).astype(np.float32)
    return Sources(digits, labels, split_digits(labels), photographs)


def split_digits(labels: NDArray[np.int64]) -> dict[Split, NDArray[np.int64]]:
    """Part the digits into train and val, class by class.

    The split is the same whatever the seed of a set, so that a model that was trained on a set of one seed never meets
    its training digits in the val split of another.
    """
    parts: dict[Split, list[int]] = {'train': [], 'val': []}
    for label in range(len(DIGIT_NAMES)):
        members = [int(i) for i in np.flatnonzero(labels == label)]
        # Ordered by a hash instead of a random generator: no numpy release can change it.
        members.sort(key=lambda i: hashlib.sha256(f'digit {i}'.encode()).hexdigest())
        cut = round(len(members) * VAL_SHARE)
        parts['val'] += members[:cut]
        parts['train'] += members[cut:]
    return {split: np.array(sorted(parts[split]), dtype=np.int64) for split in SPLITS}


def _read_rgb(path: str) -> NDArray[np.uint8]:
    with Image.open(locate(path)) as image:
        return np.asarray(image.convert('RGB'))
