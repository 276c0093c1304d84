"""tools/misc/generate_docs.py: headers and tables follow from the metafiles, and stale ones are found."""

import importlib.util
import shutil

import pytest

from .leaves import REPO

TOOL = REPO / 'tools' / 'misc' / 'generate_docs.py'
LEAF = 'configs/pose/td-hm_moganet-t_8xb32-210e_coco-256x192.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('generate_docs', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repo(tmp_path, tool):
    """A copy of the configs with a README of its own, freshly generated."""
    shutil.copytree(REPO / 'configs', tmp_path / 'configs', ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(REPO / 'model-index.yml', tmp_path)
    (tmp_path / 'README.md').write_text('# x\n\n<!-- table: published pose -->\nold\n<!-- end table -->\n\nend\n')
    assert tool.main([], tmp_path) == 0
    return tmp_path


def test_this_repository_is_up_to_date(tool):
    assert tool.main(['--check'], REPO) == 0


def test_table(repo):
    lines = (repo / 'README.md').read_text().split('\n')
    assert lines[2] == '<!-- table: published pose -->' and lines[-4:] == ['<!-- end table -->', '', 'end', '']
    assert 'old' not in lines
    (row,) = (line for line in lines if LEAF in line)
    assert row.startswith(f'| [td-hm_moganet-t_8xb32-210e_coco-256x192]({LEAF}) | 8.09 | 2.15 | 73.2 | 90.1 |')
    assert '| once |' in row


def test_links_are_relative_to_the_file(repo):
    text = (repo / 'configs/pose/README.md').read_text()
    assert '(td-hm_moganet-t_8xb32-210e_coco-256x192.py)' in text and '(configs/' not in text


def test_check_is_quiet_when_nothing_is_stale(repo, tool, capsys):
    capsys.readouterr()
    assert tool.main(['--check'], repo) == 0
    assert capsys.readouterr().err == ''


def test_check_names_a_stale_table_and_writes_nothing(repo, tool, capsys):
    path = repo / 'configs/pose/metafile.yml'
    path.write_text(path.read_text().replace('AP: 73.2', 'AP: 74.9'))
    before = (repo / 'README.md').read_text()
    assert tool.main(['--check'], repo) == 1
    stale = capsys.readouterr().err.splitlines()
    assert [line.split(':')[1].strip() for line in stale] == [LEAF, 'README.md', 'configs/pose/README.md']
    assert '73.2' in stale[1] and '74.9' in stale[1] and 'line 8' in stale[1]
    assert (repo / 'README.md').read_text() == before
    assert tool.main([], repo) == 0 and tool.main(['--check'], repo) == 0
    assert '74.9' in (repo / LEAF).read_text()


def test_check_finds_an_edited_header(repo, tool, capsys):
    path = repo / LEAF
    path.write_text(path.read_text().replace('# Expected: AP 73.2', '# Expected: AP 80.0'))
    assert tool.main(['--check'], repo) == 1
    assert f'stale: {LEAF}: line 2' in capsys.readouterr().err


def test_a_header_tells_the_precision_that_the_config_does_not_set(repo, tool):
    header = (repo / 'configs/classification/moganet-tiny_8xb128_in1k.py').read_text().partition('\n\n')[0]
    assert '(timm 0.6.12, in fp16: --amp fp16).' in header
    assert '--amp' not in (repo / LEAF).read_text()


def test_a_header_is_added_above_what_was_written(repo, tool):
    path = repo / LEAF
    body = path.read_text().partition('\n\n')[2]
    path.write_text('# A note by hand.\n' + body)
    assert tool.main([], repo) == 0
    assert path.read_text().partition('\n\n')[2] == '# A note by hand.\n' + body


@pytest.mark.parametrize('marker, said', [
    ('<!-- table: published cooking -->\n<!-- end table -->', 'README.md:1: no table "published cooking"'),
    ('<!-- table: guessed pose -->\n<!-- end table -->', 'README.md:1: no table "guessed pose"'),
    ('<!-- table: published pose -->', 'README.md:1: the table is not closed'),
])
def test_wrong_markers(repo, tool, capsys, marker, said):
    (repo / 'README.md').write_text(marker)
    assert tool.main([], repo) == 2
    assert capsys.readouterr().err.startswith(f'error: {said}')


def test_a_leaf_without_an_entry(repo, tool, capsys):
    shutil.copy(repo / LEAF, repo / 'configs/pose/new.py')
    assert tool.main([], repo) == 2
    assert 'configs/pose/new.py has no entry in configs/pose/metafile.yml' in capsys.readouterr().err


def test_an_entry_without_a_leaf(repo, tool, capsys):
    (repo / LEAF).unlink()
    assert tool.main([], repo) == 2
    assert f'names {LEAF}, which is not a config' in capsys.readouterr().err


def test_an_entry_without_a_key(repo, tool, capsys):
    path = repo / 'configs/pose/metafile.yml'
    path.write_text(path.read_text().replace('      Processes: 8\n', ''))
    assert tool.main([], repo) == 2
    assert capsys.readouterr().err == "error: an entry of a metafile has no key 'Processes'\n"


def test_a_row_of_ours_has_a_table_of_its_own(repo, tool):
    """A note that begins with "ours: " takes a row out of the authors' table, and claims nothing."""
    entry = tool.load_models(repo)['pose'][0]
    assert tool.kind_of(entry) == 'published'
    ours = {**entry, 'Note': 'ours: a trial', 'Results': []}
    text = '\n'.join(tool.table([ours, entry], 'ours', 'configs/pose'))
    assert text.count(entry['Name'] + '.py') == 1 and '| 8 x 32 |' in text and '72.1' not in text
    assert '\n'.join(tool.table([ours, entry], 'published', 'configs/pose')).count(entry['Name'] + '.py') == 1
    assert 'No result was published, and none is claimed.' in '\n'.join(tool.header(ours))
