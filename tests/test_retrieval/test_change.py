import multiprocessing
import os
import random
import resource
import signal
import threading
import time

import cv2
import numpy as np
import pytest
import torch
from photos import write_photos
from tiny_data import picture
from tqdm import tqdm

from dva_mm.__main__ import main
from dva_mm.retrieval import Index
from dva_mm.retrieval import staging as staging_module

FORK = multiprocessing.get_context('fork')


def in_child(work, *args):
    def run():
        torch.set_num_threads(1)
        # tqdm's own lock is shared between processes: killed with it, a child would keep it.
        tqdm.set_lock(threading.RLock())
        work(*args)

    process = FORK.Process(target=run)
    process.start()
    return process


def churn(retriever, photos, out):
    """Build, then change the folder and sync, again and again."""
    rng = random.Random(0)
    Index.build(retriever, photos, out, workers=0)
    while True:
        file = photos / f'class_0/{rng.randrange(30)}.png'
        if file.exists():
            file.unlink()
        else:
            cv2.imwrite(str(file), picture(rng.randrange(5), rng.randrange(1000))[0])
        Index.open(out, retriever).sync(photos, workers=0)


def check_whole(retriever, out):
    index = Index.open(out, retriever)
    ids = index.storage.store.ids.tolist()
    alive = index.storage.table.alive(index.state['generation'])
    assert sorted(ids) == [item.id for item in alive] and len(ids) == len(index)
    if ids:
        assert index.search(ids[0], k=1)[0].score == pytest.approx(1, abs=1e-4)
    return index


def test_kills_at_random_moments_leave_the_index_whole(retriever, tmp_path, monkeypatch):
    monkeypatch.setattr(staging_module, 'SHARD', 5)
    photos, out = write_photos(tmp_path / 'photos', 20), tmp_path / 'a.index'
    rng = random.Random(1)
    for _ in range(20):
        process = in_child(churn, retriever, photos, out)
        time.sleep(rng.uniform(0.02, 0.35))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if (out / 'index.json').exists():
            check_whole(retriever, out)
    for file in photos.rglob('*.png'):  # a picture may have been cut as well
        if cv2.imread(str(file)) is None:
            file.unlink()
    index = Index.build(retriever, photos, out, workers=0)
    check_whole(retriever, out)
    assert set(index.storage.files()) == set(map(str, photos.rglob('*.png')))
    assert not (out / 'staging').exists()


def test_an_interrupted_build_goes_on_where_it_stopped(retriever, tmp_path, monkeypatch):
    monkeypatch.setattr(staging_module, 'SHARD', 4)
    photos, out = write_photos(tmp_path / 'photos', 20), tmp_path / 'a.index'
    embedded = []
    stream = type(retriever).stream

    def watch(most):
        def stop_after(self, images, batch_size, *args):
            for batch in stream(self, images, 1, *args):
                if len(embedded) == most:
                    raise KeyboardInterrupt
                embedded.append(images[batch.rows[0]])
                yield batch

        return stop_after

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(retriever), 'stream', watch(9))
        Index.build(retriever, photos, out, workers=0)
    assert len(Index.open(out)) == 0
    first = embedded[:9]  # two whole shards, and the third's first
    embedded.clear()
    monkeypatch.setattr(type(retriever), 'stream', watch(None))
    index = Index.build(retriever, photos, out, workers=0)
    assert len(index) == 20 and len(embedded) == 11 and not set(first) & set(embedded)
    straight = Index.build(retriever, photos, tmp_path / 'b.index', workers=0)
    for number in range(20):  # in the same order, too
        assert index.search(number, k=3) == straight.search(number, k=3)


def test_a_second_writer_is_refused_and_readers_go_on(retriever, photos, tmp_path):
    out = tmp_path / 'a.index'
    reader = Index.build(retriever, photos, out, workers=0)
    before = reader.search(0, k=12)
    started, finish = FORK.Event(), FORK.Event()

    def hold():
        with Index.open(out, retriever).storage.writing():
            started.set()
            finish.wait(60)

    process = in_child(hold)
    assert started.wait(60)
    with pytest.raises(RuntimeError, match='a.index'):
        Index.open(out, retriever).remove(ids=[0])
    assert reader.search(0, k=12) == before
    finish.set()
    process.join()
    writer = Index.open(out, retriever)
    writer.remove(ids=[3])
    assert reader.search(0, k=12) == before  # of the generation that it opened
    assert reader.refresh() and not reader.refresh()
    assert 3 not in {hit.id for hit in reader.search(0, k=12)}


@pytest.mark.parametrize('limit', [3000, 9500, 14000, 17000])
def test_a_full_disk_leaves_the_old_index(retriever, photos, tmp_path, limit):
    out = tmp_path / 'a.index'
    Index.build(retriever, photos, out, workers=0)
    write_photos(photos, 60)

    def grow():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        Index.open(out, retriever).sync(photos, workers=0)

    process = in_child(grow)
    process.join()
    assert process.exitcode != 0
    assert len(check_whole(retriever, out)) == 12
    assert Index.open(out, retriever).sync(photos, workers=0).added == 60
    check_whole(retriever, out)


@pytest.mark.parametrize('signal_number', [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_stops_the_command_which_keeps_what_is_embedded(
    published, retriever, photos, tmp_path, monkeypatch, signal_number
):
    out, seen = tmp_path / 'a.index', FORK.Value('i', 0)
    stream = type(retriever).stream

    def slow(self, images, batch_size, *args):
        for batch in stream(self, images, 1, *args):
            seen.value += 1
            yield batch
            time.sleep(60 if seen.value == 7 else 0)

    arguments = [str(photos), '--model', str(published[0]), '--out', str(out), '--workers', '0']

    def run():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where nohup started the tests
        monkeypatch.setattr(type(retriever), 'stream', slow)
        os._exit(main(['index', *arguments, '--device', 'cpu']))

    process = in_child(run)
    while seen.value < 7:
        assert process.is_alive()
        time.sleep(0.05)
    time.sleep(0.2)
    os.kill(process.pid, signal_number)
    process.join()
    assert process.exitcode == 130 and len(Index.open(out)) == 0
    staged = [np.load(file) for file in (out / 'staging').glob('*.npy')]
    assert sum(map(len, staged)) == 7
    assert main(['index', *arguments, '--device', 'cpu']) == 0
    assert len(Index.open(out)) == 12


def test_a_full_disk_is_the_error_that_is_told(retriever, photos, tmp_path, monkeypatch):
    reasons = iter(['disk full', 'again', 'again'])

    def fail(*args):
        raise OSError(next(reasons))

    monkeypatch.setattr(staging_module.Staging, 'write', fail)
    monkeypatch.setattr(staging_module, 'SHARD', 4)
    with pytest.raises(OSError, match='disk full'):
        Index.build(retriever, photos, tmp_path / 'a.index', workers=0)
