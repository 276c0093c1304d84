"""Writes InterHand2.6M's own files: pictures by capture, sequence and camera, and three json files a split.

    images/train/Capture3/0000_drawn/cam400001/image00024.jpg
    annotations/all/InterHand2.6M_train_data.json          pictures; boxes, which joints are valid, which hands
    annotations/all/InterHand2.6M_train_camera.json        capture -> campos, camrot, focal, princpt -> camera
    annotations/all/InterHand2.6M_train_joint_3d.json      capture -> frame -> joints in the world, millimetres
    annotations/skeleton.txt                               joint, number, number of the joint that it hangs on

As in the benchmark, the annotations of val lie under machine_annot/, and those of train under all/.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moganet.datasets.tiny.hand_pictures import HandPicture
from moganet.datasets.tiny.hands import CAMERAS, JOINT_NAMES, JOINTS, WRIST, Camera, Frame
from moganet.datasets.tiny.masks import box_of
from moganet.datasets.tiny.sources import Split
from moganet.datasets.tiny.writers import FIRST_ID, save_jpeg

FOLDERS: dict[Split, str] = {'train': 'all', 'val': 'machine_annot'}
VIEWS = 2  # pictures of one frame
FRAMES = 8  # of one capture
_FIRST_CAMERA = 400_001
_SEQUENCE = '0000_drawn'


@dataclass(frozen=True)
class Shot:
    """Where the picture of an index stands: its number, its frame of all frames, its capture, and its camera."""

    index: int
    frame: int
    capture: int
    camera: int

    @classmethod
    def of(cls, index: int) -> 'Shot':
        """The shot of an index: the cameras of a capture take turns, two for each frame."""
        frame = index // VIEWS
        return cls(index, frame, frame // FRAMES, index % CAMERAS)


class InterHandWriter:
    """InterHand2.6M: `add` for each picture, then `finish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data: dict[Split, dict[str, list[dict[str, Any]]]] = {}
        self.cameras: dict[Split, dict[str, Any]] = {}
        self.joints: dict[Split, dict[str, Any]] = {}
        for split, name in FOLDERS.items():
            (folder / 'annotations' / name).mkdir(parents=True)
            (folder / 'images' / split).mkdir(parents=True)
            self.data[split] = {'images': [], 'annotations': []}
            self.cameras[split], self.joints[split] = {}, {}

    def add(self, split: Split, shot: Shot, frame: Frame, cameras: tuple[Camera, ...], picture: HandPicture) -> None:
        """Write one picture, and note what is known of it.

        Args:
            split: its split.
            shot: where it stands.
            frame: what it shows.
            cameras: all those of its capture.
            picture: the picture.
        """
        camera, capture = str(_FIRST_CAMERA + shot.camera), str(shot.capture)
        name = f'Capture{capture}/{_SEQUENCE}/cam{camera}/image{shot.frame:05d}.jpg'
        path = self.folder / 'images' / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_jpeg(picture.image, path)
        number = FIRST_ID[split] + shot.index
        self.data[split]['images'].append(
            {
                'id': number,
                'file_name': name,
                'width': picture.image.shape[1],
                'height': picture.image.shape[0],
                'capture': shot.capture,
                'subject': shot.capture,
                'seq_name': _SEQUENCE,
                'camera': camera,
                'frame_idx': shot.frame,
                'source': {'photograph': picture.ground.photograph, 'box': picture.ground.box.to_list()},
            }
        )
        valid = frame.valid().tolist()
        kind = {'hand_type': frame.hand_type, 'hand_type_valid': 1}
        self.data[split]['annotations'].append(
            {'id': number, 'image_id': number, 'bbox': box_of(picture.hands), 'joint_valid': valid, **kind}
        )
        self.cameras[split].setdefault(capture, _described(cameras))
        world = np.round(frame.world(), 3).tolist()
        moment = {'world_coord': world, 'joint_valid': [[one] for one in valid], **kind}
        self.joints[split].setdefault(capture, {})[str(shot.frame)] = moment

    def finish(self) -> None:
        """Write the annotations of all that was added."""
        for split, name in FOLDERS.items():
            contents = {'data': self.data, 'camera': self.cameras, 'joint_3d': self.joints}
            for kind, content in contents.items():
                path = self.folder / 'annotations' / name / f'InterHand2.6M_{split}_{kind}.json'
                path.write_text(json.dumps(content[split], separators=(',', ':')), encoding='ascii')
        lines = [f'{name} {number} {_parent(number)}\n' for number, name in enumerate(JOINT_NAMES)]
        (self.folder / 'annotations' / 'skeleton.txt').write_text(''.join(lines), encoding='ascii')


def _parent(number: int) -> int:
    """The joint that a joint hangs on; -1 for a wrist."""
    first, own = number // JOINTS * JOINTS, number % JOINTS
    if own == WRIST:
        return -1
    return first + (WRIST if own % 4 == 3 else own + 1)


def _described(cameras: tuple[Camera, ...]) -> dict[str, dict[str, Any]]:
    """The cameras of a capture, by what is told of them and then by their names."""
    named = {str(_FIRST_CAMERA + number): camera for number, camera in enumerate(cameras)}
    return {
        'campos': {name: camera.position.round(4).tolist() for name, camera in named.items()},
        'camrot': {name: camera.rotation.round(8).tolist() for name, camera in named.items()},
        'focal': {name: camera.focal.round(4).tolist() for name, camera in named.items()},
        'princpt': {name: camera.centre.round(4).tolist() for name, camera in named.items()},
    }
