"""Files in COCO's format: pictures, boxes, masks and keypoints."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .boxes import box_problem
from .categories import Categories, read_categories
from .json_file import no_collection, read_json
from .keypoints import category_problem, check_detections, has_labelled, keypoints_problem
from .masks import mask_problem
from .pictures import Looker, check_pictures
from .progress import progress
from .report import Findings


@dataclass(frozen=True)
class CocoSource:
    """What a config reads of a file in COCO's format.

    Attributes:
        ann_file: the file.
        folder: the folder of the pictures.
        classes: names of the classes that are read; None reads all categories.
        needs_area: whether an annotation without ``area`` stops the toolbox (mmdet).
        needs_masks: whether the pipeline loads masks.
        keypoints: names of the keypoints; empty where there are none.
        bbox_file: boxes of a person detector.
        trained_on: whether a model is trained on it; otherwise it is evaluated on it.
        keeps_empty: whether pictures without annotations are trained on.
        min_size: pixels; pictures of a shorter side are not trained on.
    """

    ann_file: str
    folder: str
    classes: Sequence[str] | None = None
    needs_area: bool = False
    needs_masks: bool = False
    keypoints: Sequence[str] = ()
    bbox_file: str = ''
    trained_on: bool = False
    keeps_empty: bool = False
    min_size: int = 0


def check_coco(source: CocoSource, findings: Findings, looker: Looker) -> None:
    """Look at an annotation file and its pictures."""
    content = read_json(source.ann_file, findings)
    if content is None:
        return
    lists = _lists(content, source, findings)
    if lists is None:
        return
    with no_collection():
        images = _images(lists['images'], source, findings)
        categories = read_categories(lists['categories'], source.ann_file, source.classes, findings)
        for category in lists['categories'] if source.keypoints else ():
            problem = category_problem(category, list(source.keypoints)) if isinstance(category, dict) else ''
            if problem:
                findings.fault('bad-keypoints', source.ann_file, f'category {category.get("id")}', problem)
        _Walk(source, findings, images, categories).annotations(lists['annotations'])
    if source.bbox_file:
        check_detections(source.bbox_file, images, findings)
    paths = [os.path.join(source.folder, image['file_name']) for image in images.values()]
    sizes = [(image['width'], image['height']) for image in images.values()]
    check_pictures(findings, looker, paths, [f'image {id}' for id in images], sizes)


def _lists(content: Any, source: CocoSource, findings: Findings) -> dict[str, list[Any]] | None:
    if not isinstance(content, dict):
        findings.fault('malformed', source.ann_file, None, 'no file of COCO: images, annotations, categories needed')
        return None
    if 'annotations' not in content:
        findings.note('the file has no annotations, as those of test pictures')
        content['annotations'] = []
    missing = [key for key in ('images', 'annotations', 'categories') if not isinstance(content.get(key), list)]
    if missing:
        told = f'no list {", ".join(missing)}; it holds {", ".join(map(str, content)) or "nothing"}'
        findings.fault('malformed', source.ann_file, None, told)
        return None
    return content


def _images(records: list[Any], source: CocoSource, findings: Findings) -> dict[Any, dict[str, Any]]:
    """Return the pictures by their ids; those with a fault in the record are left out."""
    images: dict[Any, dict[str, Any]] = {}
    for index, record in enumerate(records):
        problem = _image_problem(record, bool(source.keypoints))
        if problem:
            id = record.get('id') if isinstance(record, dict) else None
            told = f'image {id}' if id is not None else f'images[{index}]'
            findings.fault('malformed', source.ann_file, told, problem)
        elif record['id'] in images:
            other = images[record['id']]['file_name']
            told = f'{record["file_name"]} has the id of {other}'
            findings.fault('duplicate', source.ann_file, f'image {record["id"]}', told)
        else:
            images[record['id']] = record
    findings.pictures = len(records)
    if not records:
        findings.fault('no-data', source.ann_file, None, 'its list of images is empty')
    return images


def _image_problem(record: Any, counts_with_id: bool) -> str:
    if not isinstance(record, dict):
        return f'{record!r}: a picture needs id, file_name, width and height'
    missing = [key for key in ('id', 'file_name', 'width', 'height') if key not in record]
    if missing:
        return f'without {", ".join(missing)}'
    if not isinstance(record['id'], (int, str)) or not isinstance(record['file_name'], str):
        return f'id {record["id"]!r}, file_name {record["file_name"]!r}: a number and a name needed'
    if counts_with_id and isinstance(record['id'], str):
        return f'id {record["id"]!r}: mmpose counts with it, a number needed'
    size = record['width'], record['height']
    if not all(isinstance(side, int) and side > 0 for side in size):
        return f'width {size[0]!r}, height {size[1]!r}: whole numbers of at least 1 needed'
    return ''


class _Walk:
    """One pass over the annotations of a file."""

    def __init__(
        self, source: CocoSource, findings: Findings, images: dict[Any, dict[str, Any]], categories: Categories
    ) -> None:
        self.source, self.findings, self.images, self.categories = source, findings, images, categories
        self.needed = ['id', 'image_id', 'category_id', 'bbox', *(['area'] if source.needs_area else [])]
        if not source.trained_on:
            self.needed.append('iscrowd')  # COCO's evaluation reads it of each

    def annotations(self, records: list[Any]) -> None:
        """Look at each annotation, then count pictures without any and what the toolbox passes over."""
        seen: set[Any] = set()
        annotated: set[Any] = set()
        used: set[Any] = set()
        left_out = passed_over = 0
        for index, record in enumerate(progress(records, len(records), f'{self.findings.place}: annotations')):
            if not self._is_whole(record, index):
                continue
            id, image_id = record['id'], record['image_id']
            if id in seen:
                self._fault('duplicate', record, 'another annotation has this id')
            seen.add(id)
            image = self.images.get(image_id)
            if image is None:
                self._fault('orphan', record, f'image_id {image_id!r} is no picture of the file')
                continue
            label = self._label(record)
            if label is None:
                left_out += record['category_id'] in self.categories.names
                continue
            annotated.add(image_id)
            self.findings.per_class[label] += 1
            if self._look_at(record, image):
                used.add(image_id)
            else:
                passed_over += 1
        self.findings.annotations = len(records)
        self._tell(left_out, passed_over, annotated)
        if self.source.trained_on:
            self._tell_of_training(used)
        elif 0 in seen and not self.source.keypoints:
            self.findings.note(
                'an annotation has the id 0: pycocotools takes what is found there for a false find; count ids from 1'
            )

    def _fault(self, kind: str, record: dict[str, Any], text: str) -> None:
        self.findings.fault(kind, self.source.ann_file, f'annotation {record["id"]}', text)

    def _is_whole(self, record: Any, index: int) -> bool:
        if isinstance(record, dict) and not [key for key in self.needed if key not in record]:
            ids = record['id'], record['image_id'], record['category_id']
            if all(isinstance(id, (int, str)) for id in ids):
                if self.source.trained_on or _is_number(ids[0]):
                    return True
                problem = "COCO's evaluation counts with the id, a number needed"
            else:
                problem = f'id {ids[0]!r}, image_id {ids[1]!r}, category_id {ids[2]!r}: numbers needed'
        elif isinstance(record, dict):
            problem = f'without {", ".join(key for key in self.needed if key not in record)}'
        else:
            problem = f'{record!r}: an annotation needs {", ".join(self.needed)}'
        id = record.get('id') if isinstance(record, dict) else None
        told = f'annotation {id}' if id is not None else f'annotations[{index}]'
        self.findings.fault('malformed', self.source.ann_file, told, problem)
        return False

    def _label(self, record: dict[str, Any]) -> int | None:
        category = record['category_id']
        if category not in self.categories.names:
            self._fault('bad-label', record, f'category_id {category!r} is no category of the file')
        return self.categories.labels.get(category)

    def _look_at(self, record: dict[str, Any], image: dict[str, Any]) -> bool:
        """Look at box, mask and keypoints; return whether the toolbox uses the annotation as it is."""
        width, height = image['width'], image['height']
        problem = box_problem(record['bbox'], width, height)
        if problem:
            self._fault('bad-box', record, f'{problem} ({image["file_name"]})')
        area = record.get('area', 1)
        if not problem and not (isinstance(area, (int, float)) and area > 0):
            self._fault('bad-box', record, f'area {area!r}: more than 0 needed ({image["file_name"]})')
        segmentation = record.get('segmentation')
        if segmentation:
            wrong = mask_problem(segmentation, width, height)
            if wrong:
                self._fault('bad-mask', record, f'{wrong} ({image["file_name"]})')
        elif self.source.needs_masks:
            self._fault('bad-mask', record, f'no segmentation, and the pipeline loads masks ({image["file_name"]})')
        if self.source.keypoints and 'keypoints' in record:
            wrong = keypoints_problem(record, len(self.source.keypoints))
            if wrong:
                self._fault('bad-keypoints', record, f'{wrong} ({image["file_name"]})')
        if self.source.keypoints:
            return not record.get('iscrowd') and has_labelled(record)
        return bool(problem) or not self.source.needs_area or min(record['bbox'][2:]) >= 1

    def _tell(self, left_out: int, passed_over: int, annotated: set[Any]) -> None:
        findings = self.findings
        if left_out:
            findings.note(
                f'annotations that are not read, their category being no class of the config: {left_out:,}'
            )
        if passed_over and self.source.keypoints:
            findings.note(f'crowds and people without a labelled keypoint, which mmpose leaves out: {passed_over:,}')
        elif passed_over:
            findings.note(f'boxes of less than 1 pixel in width or height, which mmdet leaves out: {passed_over:,}')
        findings.empty = len(self.images) - len(annotated)
        if findings.empty and not self.source.keeps_empty:
            findings.note(f'pictures without an annotation of the classes: {findings.empty:,}')
        if self.source.keeps_empty:
            for id, image in self.images.items():
                if id not in annotated:
                    told = f'{image["file_name"]} has none; filter_cfg=dict(filter_empty_gt=True) leaves it out'
                    findings.fault('empty-picture', self.source.ann_file, f'image {id}', told)

    def _tell_of_training(self, used: set[Any]) -> None:
        """Tell of pictures that are too small, and when nothing is left to train on.

        Args:
            used: ids of the pictures with an annotation that the toolbox uses.
        """
        least = self.source.min_size
        small = {id for id, image in self.images.items() if min(image['width'], image['height']) < least}
        if small:
            told = f'pictures with a side of less than {least} pixels, which filter_cfg.min_size leaves out'
            self.findings.note(f'{told}: {len(small):,}')
        if self.images and self.categories.labels and not used - small:
            told = f'none of its {len(self.images):,} pictures has an annotation that is trained on'
            self.findings.fault('no-data', self.source.ann_file, None, told)


def _is_number(id: Any) -> bool:
    try:
        return math.isfinite(float(id))
    except ValueError:
        return False
