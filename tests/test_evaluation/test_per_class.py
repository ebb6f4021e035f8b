import json

import pytest
import torch

from dva_mm.evaluation.per_class import check_file, write_per_class

IMAGES = torch.tensor([3, 1, 4])
ANSWERED = torch.tensor([True, False, True])


def test_each_class_gets_its_figures_in_percent(tmp_path):
    path = tmp_path / 'a' / 'b' / 'classes.json'
    figures = {'Recall@1': [0.25, 1.0], 'MAP@R': [0.5, 0.75]}
    write_per_class(path, ['x', 'ü', 'z'], IMAGES, ANSWERED, figures)
    assert json.loads(path.read_text(encoding='utf-8')) == {
        'x': {'images': 3, 'Recall@1': 25, 'MAP@R': 50},
        'ü': {'images': 1, 'Recall@1': None, 'MAP@R': None},
        'z': {'images': 4, 'Recall@1': 100, 'MAP@R': 75},
    }


@pytest.mark.parametrize('failing', ['write_text', 'replace'])
def test_a_write_that_fails_leaves_the_last_file_alone(tmp_path, monkeypatch, failing):
    path = tmp_path / 'classes.json'
    write_per_class(path, 'xyz', IMAGES, ANSWERED, {'Recall@1': [0, 1]})
    before = path.read_bytes()

    def full(self, *args, **kwargs):
        self.write_bytes(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(f'pathlib.Path.{failing}', full)
    with pytest.raises(OSError, match='no space left'):
        write_per_class(path, 'xyz', IMAGES, ANSWERED, {'Recall@1': [1, 1]})
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize('name', ['classes.txt', 'classes', 'folder.json'])
def test_a_name_that_is_no_json_file_is_refused(tmp_path, name):
    (tmp_path / 'folder.json').mkdir()
    check_file(tmp_path / 'classes.json', ['recall'])
    with pytest.raises(ValueError, match=f"ending in '.json', got '.*{name}'"):
        check_file(tmp_path / name, ['recall'])


def test_metrics_without_figures_for_each_class_are_refused(tmp_path):
    check_file(tmp_path / 'classes.json', ['NMI', 'r_precision'])
    with pytest.raises(ValueError, match='NMI and AMI have no figure for each class'):
        check_file(tmp_path / 'classes.json', ['NMI', 'AMI'])
