"""Several processes that talk through gloo make the index that one makes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
from photos import write_photos

from dva_mm.retrieval import Index
from dva_mm.retrieval.run import index_main

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])


def dist_index(*arguments, cwd):
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    bin_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    env = dict(os.environ, PYTHONPATH=path, PATH=bin_path, PORT=free_port(), OMP_NUM_THREADS='1')
    command = ['bash', ROOT / 'tools' / 'dist_index.sh', *map(str, arguments)]
    found = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=300)
    return found.returncode, found.stdout + found.stderr


def test_two_processes_index_like_one(published, tmp_path):
    photos = write_photos(tmp_path / 'photos', 23)
    (photos / 'bad.png').write_bytes(b'')
    options = [photos, '--model', published[0], '--labels', 'folder', '--workers', '0']
    options += ['--device', 'cpu', '--out']
    status, output = dist_index(2, *options, 'two.index', cwd=tmp_path)
    assert '23 added, 0 removed, 0 unchanged, 1 cannot be read' in output, output
    assert status == 1 and output.count('bad.png') >= 1
    assert index_main([*map(str, options), str(tmp_path / 'one.index')]) == 1
    two, one = (Index.open(tmp_path / f'{name}.index') for name in ('two', 'one'))
    assert two.storage.items(range(23)) == one.storage.items(range(23))
    gap = two.storage.vectors(range(23)) - one.storage.vectors(range(23))
    assert np.abs(gap).max() < 1e-6
    assert sorted(p.name for p in two.storage.folder.iterdir()) == sorted(
        p.name for p in one.storage.folder.iterdir()
    )
    write_photos(photos, 30)
    status, output = dist_index(2, photos, '--sync', '--out', 'two.index', cwd=tmp_path)
    assert '30 added, 0 removed, 0 unchanged' in output, output
    two.refresh()
    assert {hit.label for hit in two.search(30, k=30)} == {'class_0', 'class_1', 'class_2'}


RANK = """
import sys
from dva_mm.retrieval import staging
from dva_mm.retrieval.run import index_main

staging.SHARD = 3
if sys.argv.pop(1) == 'kill':
    import os
    write = staging.Staging.write

    def killed(self, entries, vectors):
        places = write(self, entries, vectors)
        if os.environ['RANK'] == '1':
            os._exit(9)
        return places

    staging.Staging.write = killed
sys.exit(index_main())
"""


def test_what_a_killed_process_embedded_is_kept(published, tmp_path):
    photos = write_photos(tmp_path / 'photos', 20)
    (tmp_path / 'rank.py').write_text(RANK)

    def run(mode):
        command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2']
        command += ['--master_port', free_port(), 'rank.py', mode, photos, '--out', 'a.index']
        command += ['--model', published[0], '--workers', '0', '--batch-size', '1']
        path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        env = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1')
        return subprocess.run(list(map(str, command)), env=env, cwd=tmp_path, timeout=300)

    assert run('kill').returncode != 0
    assert len(Index.open(tmp_path / 'a.index')) == 0
    shards = list((tmp_path / 'a.index' / 'staging').glob('[!.]*.json'))
    kept = {key[0] for shard in shards for key in json.loads(shard.read_text())['keys']}
    assert kept
    for path in kept:  # only their shards know them now
        status = os.stat(path)
        Path(path).write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run('go on').returncode == 0
    assert len(Index.open(tmp_path / 'a.index')) == 20


def test_the_launcher_says_how_it_is_used(tmp_path):
    status, output = dist_index(2, cwd=tmp_path)
    assert status == 2 and 'usage' in output
