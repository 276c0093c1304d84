"""Picture files: what is seen by head and tail, and what by decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moganet.datasets.check.pictures import Looker, check_pictures, look_at
from moganet.datasets.check.report import Findings

ENDS = ('a.jpg', 'a.png')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for name in (*ENDS, 'a.bmp'):
        Image.fromarray(noise).save(tmp_path / name)
    return tmp_path


def _cut(path: Path, keep: float) -> str:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return str(path)


@pytest.mark.parametrize('name', [*ENDS, 'a.bmp'])
@pytest.mark.parametrize('decode', [False, True])
def test_whole(name: str, decode: bool, folder: Path) -> None:
    assert look_at(str(folder / name), decode) == ((80, 60), '', '')


@pytest.mark.parametrize('name', ENDS)
@pytest.mark.parametrize('decode', [False, True])
def test_torn(name: str, decode: bool, folder: Path) -> None:
    picture = look_at(_cut(folder / name, 0.6), decode)
    assert picture.kind == 'unreadable' and ('torn' in picture.problem or decode)


def test_an_end_in_a_thumbnail_is_not_the_end(folder: Path) -> None:
    """A JPEG within the head of a JPEG, as cameras write it, ends as JPEGs do."""
    content = (folder / 'a.jpg').read_bytes()
    thumbnail = b'Exif\0\0\xff\xd8\xff\xd9'
    head = b'\xff\xe5' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    (folder / 'b.jpg').write_bytes(content[:2] + head + content[2:])
    assert not look_at(str(folder / 'b.jpg')).problem
    (folder / 'b.jpg').write_bytes((content[:2] + head + content[2:])[:-200])
    assert 'torn' in look_at(str(folder / 'b.jpg')).problem


@pytest.mark.parametrize('name', ENDS)
def test_bytes_behind_the_end_are_no_fault(name: str, folder: Path) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes() + bytes(10_000))
    assert not look_at(str(path)).problem


def test_damage_within_is_seen_by_decoding(folder: Path) -> None:
    path = folder / 'a.png'
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)
    assert not look_at(str(path)).problem
    assert look_at(str(path), decode=True).kind == 'unreadable'


def test_no_picture_at_all(folder: Path) -> None:
    (folder / 'empty.jpg').touch()
    (folder / 'text.jpg').write_text('<html>not found</html>')
    assert look_at(str(folder / 'empty.jpg')).problem == 'empty file'
    assert look_at(str(folder / 'text.jpg')).problem == 'its head is that of no picture'
    missing = look_at(str(folder / 'a.JPG'))
    assert missing.kind == 'missing-file' and missing.problem == 'not there; a.jpg is'
    assert look_at(str(folder / 'z.jpg')).problem == 'not there'
    assert look_at(str(folder)).kind == 'unreadable'


@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'tif', 'bmp'])
def test_exif_turns_a_picture_as_the_loaders_do(ending: str, folder: Path) -> None:
    import cv2

    exif = Image.Exif()
    exif[0x0112] = 6
    path = folder / f'turned.{ending}'
    with Image.open(folder / 'a.png') as image:
        image.save(path, exif=exif)
    content = np.frombuffer(path.read_bytes(), np.uint8)  # mmcv decodes bytes, too
    height, width = cv2.imdecode(content, cv2.IMREAD_COLOR).shape[:2]
    assert look_at(str(path)).size == (width, height)
    if ending != 'webp':  # which OpenCV turns since its fifth version
        assert (width, height) == ((80, 60) if ending == 'bmp' else (60, 80))


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'CMYK', 'P', 'I;16', '1'])
def test_colours_are_the_loaders_concern(mode: str, folder: Path) -> None:
    path = folder / ('b.jpg' if mode == 'CMYK' else 'b.png')
    with Image.open(folder / 'a.png') as image:
        grey = Image.fromarray(np.full((60, 80), 999, np.uint16))
        (grey if mode == 'I;16' else image.convert(mode)).save(path)
    assert look_at(str(path), decode=True) == ((80, 60), '', '')


def test_links(folder: Path) -> None:
    (folder / 'good.jpg').symlink_to('a.jpg')
    (folder / 'bad.jpg').symlink_to('gone.jpg')
    assert look_at(str(folder / 'good.jpg')) == ((80, 60), '', '')
    assert look_at(str(folder / 'bad.jpg')).problem == 'a link to gone.jpg, which is not there'


@pytest.mark.parametrize('workers', [1, 3])
def test_faults_keep_their_order_and_ids(workers: int, folder: Path) -> None:
    paths = [str(folder / name) for name in ('a.jpg', 'none.jpg', 'a.png', 'a.bmp')] * 600
    sizes = [(80, 60), (1, 1), (60, 80), None] * 600
    findings = Findings('place', 'what')
    check_pictures(findings, Looker(workers=workers), paths, range(len(paths)), sizes)
    assert [fault.kind for fault in findings.faults] == ['missing-file', 'wrong-size'] * 600
    assert [int(fault.id) for fault in findings.faults[-2:]] == [2397, 2398]
    assert 'turned by 90 degrees' in findings.faults[1].text
