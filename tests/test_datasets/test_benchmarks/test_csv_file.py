"""The reader of CSV files."""

from pathlib import Path

import pytest

from dva_mm.datasets import Record
from dva_mm.datasets.benchmarks.csv_file import read_csv


def test_a_csv_file_of_any_name_with_columns_in_any_order(tmp_path: Path):
    (tmp_path / 'my birds.CSV').write_text(
        'label, path , split\n10,"a, b.jpg",query\n\n9,/c.jpg,gallery\n10,d.jpg,train\n'
    )
    reading = read_csv(tmp_path / 'my birds.CSV')
    assert reading.records == [
        Record(str(tmp_path / 'a, b.jpg'), 1, False, None, True),
        Record('/c.jpg', 0, False, None, False),
        Record(str(tmp_path / 'd.jpg'), 1, True, None, None),
    ]
    assert reading.classes == ['9', '10']
    (tmp_path / 'words.csv').write_text('path,label\na.jpg,10\nb.jpg,9\nc.jpg,x\n')
    assert read_csv(tmp_path / 'words.csv').classes == ['10', '9', 'x']


HEADER = 'path,label,x1,y1,x2,y2\n'


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('path,name\na.jpg,owl\n', 'name'),
        ('path,label,x1,y1\na.jpg,owl,1,2\n', 'y1'),
        ('', 'path,label'),
        ('path,label\na.jpg,owl\nb.jpg\n', 'line 3'),
        ('path,label\na.jpg,owl,1\n', 'line 2'),
        ('path,label,split\na.jpg,owl,val\n', "line 2.*'val'"),
        ('path,label,split\na.jpg,owl,train\nb.jpg,owl,test\nc.jpg,owl,query\n', 'query'),
        (f'{HEADER}a.jpg,owl,1,2,,4\n', 'line 2'),
        (f'{HEADER}a.jpg,owl,,,,\nb.jpg,owl,1,nan,3,4\n', "line 3.*'1 nan 3 4'"),
        (f'{HEADER}a.jpg,owl,1,2,inf,4\n', 'line 2'),
        (f'{HEADER}a.jpg,owl,9,2,3,4\n', "line 2.*'9 2 3 4'"),
        (f'{HEADER}a.jpg,owl,1,4,3,4\n', 'line 2'),
        (f'{HEADER}a.jpg,owl,-9,-9,-1,4\n', 'line 2'),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, named: str):
    (tmp_path / 'images.csv').write_text(text)
    with pytest.raises(ValueError, match=named) as error:
        read_csv(tmp_path)
    assert str(tmp_path / 'images.csv') in str(error.value)


@pytest.mark.parametrize('encoding', ['utf-16', 'cp1252'])
def test_another_encoding_is_named_with_the_remedy(tmp_path: Path, encoding: str):
    (tmp_path / 'images.csv').write_bytes('path,label\na.jpg,Häher\n'.encode(encoding))
    with pytest.raises(ValueError, match=f'{tmp_path}/images.csv .*iconv -f {encoding}'):
        read_csv(tmp_path)
