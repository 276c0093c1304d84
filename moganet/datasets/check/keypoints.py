"""Keypoints of COCO files, and the boxes of a person detector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .boxes import lies_outside, shape_problem
from .json_file import read_json
from .report import Findings

_VISIBILITIES = frozenset((0, 1, 2))  # not labelled, labelled but hidden, visible
_DETECTION = ('image_id', 'category_id', 'bbox', 'score')
_PERSON = 1  # mmpose reads detections of this category alone


def keypoints_problem(annotation: dict[str, Any], count: int) -> str:
    """Return what is wrong with an annotation's keypoints ``[x, y, v, ...]``, or nothing.

    Args:
        annotation: the annotation, which has ``keypoints``.
        count: how many keypoints the config's metainfo has.
    """
    numbers = annotation['keypoints']
    if not isinstance(numbers, list) or len(numbers) != 3 * count:
        given = len(numbers) if isinstance(numbers, list) else repr(numbers)
        return f'keypoints of {given} numbers: {3 * count} needed, x, y and visibility of {count} keypoints'
    try:
        finite = math.isfinite(sum(numbers))
    except TypeError:
        return 'keypoints hold what is no number'
    if not finite:
        return 'keypoints hold a number that is not finite'
    flags = numbers[2::3]
    if not _VISIBILITIES.issuperset(flags):
        return f'visibility {next(flag for flag in flags if flag not in _VISIBILITIES)!r}: 0, 1 or 2 needed'
    labelled = sum(flag > 0 for flag in flags)
    said = annotation.get('num_keypoints', labelled)
    if said != labelled:
        return f'num_keypoints {said!r}, and {labelled} keypoints are labelled'
    return ''


def has_labelled(annotation: dict[str, Any]) -> bool:
    """Whether an annotation has a keypoint that is labelled, as its file says or its visibilities do."""
    numbers = annotation.get('keypoints')
    if not isinstance(numbers, list) or annotation.get('num_keypoints') == 0:
        return False
    return any(isinstance(number, (int, float)) and number > 0 for number in numbers[2::3])


def category_problem(category: dict[str, Any], names: list[str]) -> str:
    """Return what is wrong with the names of a category's keypoints, or nothing."""
    given = category.get('keypoints')
    if not isinstance(given, list):
        return ''
    if len(given) != len(names):
        return f'category {category.get("name")!r} has {len(given)} keypoints, and the config {len(names)}'
    if given != names and set(given) == set(names):
        index = next(i for i, (theirs, ours) in enumerate(zip(given, names)) if theirs != ours)
        return f'keypoint {index} is {given[index]!r} in the file and {names[index]!r} in the config'
    return ''


def check_detections(path: str, images: Mapping[Any, dict[str, Any]], findings: Findings) -> None:
    """Look at a file of detected boxes.

    Args:
        path: the file, a list of ``{'image_id', 'category_id', 'bbox', 'score'}``.
        images: the pictures of the annotation file by their ids.
        findings: where faults go.
    """
    detections = read_json(path, findings)
    if detections is None:
        return
    if not isinstance(detections, list):
        findings.fault('malformed', path, None, 'a list of detections needed')
        return
    people = 0
    for index, detection in enumerate(detections):
        id = f'detection {index}'
        missing = [key for key in _DETECTION if not isinstance(detection, dict) or key not in detection]
        if missing:
            findings.fault('malformed', path, id, f'without {", ".join(missing)}')
            continue
        people += detection['category_id'] == _PERSON
        image_id = detection['image_id']
        image = images.get(image_id) if isinstance(image_id, (int, str)) else None
        if image is None:
            findings.fault('orphan', path, id, f'image_id {image_id!r} is no picture of the annotations')
            continue
        # A detector's box may reach over the edge.
        problem = shape_problem(detection['bbox'])
        if not problem and lies_outside(detection['bbox'], image['width'], image['height']):
            problem = f'box {detection["bbox"]!r}: lies outside {image["file_name"]}'
        if problem:
            findings.fault('bad-box', path, id, problem)
        if not isinstance(detection['score'], (int, float)):
            findings.fault('malformed', path, id, f'score {detection["score"]!r}: a number needed')
    findings.note(f'{path}: detected boxes: {len(detections):,}, of people: {people:,}')
    if detections and not people:
        findings.fault('no-data', path, None, f'no box of category {_PERSON}, and mmpose reads no other')
