import os
import stat

import pytest

from dva_mm.files import check_writable, replace_atomically


def test_the_new_content_is_whole_or_not_there(tmp_path):
    file = tmp_path / 'deep' / 'figures.json'
    with replace_atomically(file) as partial:
        partial.write_text('first')
        assert partial.suffix == '.json' and not file.exists()
    assert file.read_text() == 'first'
    with pytest.raises(KeyboardInterrupt), replace_atomically(file) as partial:
        partial.write_text('half')
        raise KeyboardInterrupt
    assert file.read_text() == 'first'
    assert os.listdir(file.parent) == ['figures.json']


def test_others_can_read_the_file_as_the_umask_says(tmp_path):
    umask = os.umask(0o027)
    try:
        with replace_atomically(tmp_path / 'a.txt') as partial:
            partial.write_text('a')
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / 'a.txt').stat().st_mode) == 0o640


def test_check_writable_leaves_nothing_and_names_what_is_wrong(tmp_path):
    assert check_writable(tmp_path / 'new' / 'a.json', '--out') == tmp_path / 'new' / 'a.json'
    assert not os.listdir(tmp_path)
    with pytest.raises(ValueError, match='--out'):
        check_writable(tmp_path, '--out')
    (tmp_path / 'file').write_text('content')
    check_writable(tmp_path / 'file', '--out')
    assert (tmp_path / 'file').read_text() == 'content'
    with pytest.raises(ValueError, match='file'):
        check_writable(tmp_path / 'file' / 'a.json', '--out')
