"""Handwritten digits as pictures: alone for classification, and as strokes to lay on a scene."""

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSIFICATION_SIZE = 64
_INNER = 36  # pixels that the 8 x 8 ink fills in a classification picture; the rest is margin
_FINE = 8  # pixels for each of the 8 x 8 cells in the smooth ink from which strokes are cut


def classification_picture(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The digit alone, light on dark: (64, 64) uint8, from its (8, 8) ink of 0 to 1."""
    canvas = np.zeros((CLASSIFICATION_SIZE, CLASSIFICATION_SIZE), dtype=np.uint8)
    upscaled = cv2.resize(ink, (_INNER, _INNER), interpolation=cv2.INTER_CUBIC)
    margin = (CLASSIFICATION_SIZE - _INNER) // 2
    canvas[margin:-margin, margin:-margin] = np.clip(np.rint(upscaled * 255), 0, 255).astype(np.uint8)
    return canvas


def smooth_ink(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (8, 8) ink in fine pixels, (80, 80) with one empty cell around, smooth enough to cut strokes at any level."""
    padded = np.pad(ink, 1)
    side = padded.shape[0] * _FINE
    fine = cv2.resize(padded, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), _FINE * 0.25), dtype=np.float32)


def place_ink(
    fine: NDArray[np.float32], height: float, angle: float, centre: tuple[float, float], size: int
) -> NDArray[np.float32]:
    """Lay smooth ink on an empty square picture.

    Args:
        fine: what `smooth_ink` gave.
        height: pixels that the 8 rows of the digit take in the picture.
        angle: rotation in degrees, counter-clockwise.
        centre: (x, y) of the digit's centre in the picture.
        size: side of the picture.

    Returns:
        (size, size) ink, about 0 to 1.
    """
    middle = (fine.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), angle, height / (8 * _FINE))
    matrix[:, 2] += np.array(centre) - middle
    # Shrinking by more than two would skip fine pixels, hence the blur that takes their mean.
    shrink = 8 * _FINE / height
    blurred = cv2.GaussianBlur(fine, (0, 0), 0.35 * shrink)
    return np.asarray(cv2.warpAffine(blurred, matrix, (size, size), flags=cv2.INTER_LINEAR), dtype=np.float32)
