"""The cache of decoded images: the same pixels with it and without, within its bound, whatever happens to its files."""

import errno
import multiprocessing
import os
import signal
import warnings

import numpy as np
import pytest
import torch

from poserep.data import cache
from poserep.data.augment import Augment
from poserep.data.cache import BAND, UNIT, ImageCache
from poserep.data.datamodule import PoseDataModule
from poserep.data.dataset import PoseDataset
from poserep.data.image_files import PhotographReader
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Size
from poserep.skeleton import COCO

SIZE = Size(96, 64)
STRONG = Augment(scale=0.35, rotation=45, flip=0.5, half_body=0.5, half_body_min=4)


def dataset(persons, **options):
    return PoseDataset(persons, COCO, SIZE, augment=STRONG, **options)


def images(data, epochs=3):
    return [data[epoch, i].image for epoch in range(epochs) for i in range(len(data))]


def assert_same(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def entries(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "ledger")


def no_decoding(*_):
    raise AssertionError("decoded what the cache holds")


def test_pixels_are_the_same_on_and_off(drawn, tmp_path, monkeypatch):
    for align in ALIGNMENTS:
        expected = images(dataset(drawn, align=align))
        data = dataset(drawn, align=align, cache=ImageCache(tmp_path, 1))
        assert_same(images(data), expected)
        with monkeypatch.context() as patched:
            patched.setattr(PhotographReader, "decode", no_decoding)
            assert_same(images(data), expected)
    other = PoseDataset(drawn, COCO, Size(48, 32), padding=2.0, cache=ImageCache(tmp_path, 1))
    assert len(images(other)) == 18, "other sizes and paddings share the entries"


def test_rows_that_do_not_exist_are_not_asked_of_the_file(drawn, tmp_path):
    store, path = ImageCache(tmp_path, 1), drawn[0].image
    whole, first = store.rows(path, 0, 1)
    assert first == 0
    height = len(whole)
    for top, bottom in ((-9, -3), (-9, 5), (17, 18), (17, height + 50), (height + 5, height + 9), (0, height)):
        part, first = store.rows(path, top, bottom)
        np.testing.assert_array_equal(part, whole[first : first + len(part)])
        assert first <= max(top, 0) and first + len(part) >= min(bottom, height)
        assert len(part) <= max(0, min(bottom, height) - max(top, 0)) + 2 * BAND


def test_bound_holds(drawn, tmp_path):
    expected = images(dataset(drawn))
    limit = 3 * UNIT / 1e9
    store = ImageCache(tmp_path, limit)
    assert_same(images(dataset(drawn, cache=store)), expected)
    found = entries(tmp_path)
    assert 0 < len(found) < len({i.image for i in drawn})
    assert sum(p.stat().st_size for p in found) <= store.used() <= 3 * UNIT
    assert_same(images(dataset(drawn, cache=ImageCache(tmp_path, limit))), expected)
    assert entries(tmp_path) == found, "a bound that is reached stays reached"
    stores = [ImageCache(tmp_path / "race", 5 * UNIT / 1e9) for _ in range(2)]
    won = [store._reserve(2 * UNIT) for _ in range(3) for store in stores]
    assert sum(won) == 2, "racing for the last room keeps the bound"


DAMAGE = {
    "empty": lambda data: b"",
    "head": lambda data: data[:20],
    "short": lambda data: data[:-1],
    "long": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "width": lambda data: data[:28] + b"\xff\xff\xff\xff" + data[32:],
    "bit": lambda data: data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:],
    "sum": lambda data: data[:40] + b"\x07" + data[41:],
}


def test_damaged_entries_are_found_and_replaced(drawn, tmp_path, monkeypatch):
    expected = images(dataset(drawn))
    data = dataset(drawn, cache=ImageCache(tmp_path, 1))
    images(data, 1)
    whole = {path: path.read_bytes() for path in entries(tmp_path)}
    used = data.crops.cache.used()
    for name, damage in DAMAGE.items():
        for path, content in whole.items():
            path.write_bytes(damage(content))
        assert_same(images(data), expected)
        # A flaw in rows that no crop has shown so far stays until one does.
        for i in drawn:
            data.crops.cache.rows(i.image, 0, 10**6)
        assert {path: path.read_bytes() for path in entries(tmp_path)} == whole, name
        assert data.crops.cache.used() == used
    monkeypatch.setattr(PhotographReader, "decode", no_decoding)
    assert_same(images(data), expected)


def test_a_changed_file_is_not_taken_for_the_old_one(drawn, tmp_path):
    path = tmp_path / "image.jpg"
    store = ImageCache(tmp_path / "cache", 1)
    for instance in (drawn[0], drawn[-1]):
        path.write_bytes(instance.image.read_bytes())
        expected, _ = store.rows(instance.image, 0, 10**6)
        np.testing.assert_array_equal(store.rows(path, 0, 10**6)[0], expected)
    assert len(entries(tmp_path / "cache")) == 2


def test_workers_fill_it_together_and_make_the_batches_that_one_process_makes(drawn, tmp_path):
    import albumentations

    pixels = [albumentations.RandomBrightnessContrast(p=0.7), albumentations.CoarseDropout(p=0.5)]
    noisy = Augment(scale=0.35, rotation=45, flip=0.5, jitter=0.4, jitter_prob=0.5, pixels=pixels)

    def epoch(store):
        data = PoseDataset(drawn * 4, COCO, SIZE, augment=noisy, cache=store)
        loader = PoseDataModule(data, {}, 3, 0, 2 if store else 0).train_dataloader()
        parts = []
        for batch in loader:
            parts += [batch.index, batch.image, batch.xy, batch.weight]
            # Job systems send signals to all processes; by the second batch both workers have begun.
            for worker in multiprocessing.active_children() if len(parts) == 8 else ():
                os.kill(worker.pid, signal.SIGUSR1)
        return parts

    expected = epoch(None)
    store = ImageCache(tmp_path, 1)
    assert_same(epoch(store), expected)
    assert len(entries(tmp_path)) == len({i.image for i in drawn}), "one complete entry each, nothing left over"
    assert_same(epoch(store), expected)


def test_a_full_disk_stops_adding_and_nothing_else(drawn, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = images(dataset(drawn))
    data = dataset(drawn, cache=ImageCache(tmp_path, 1))
    images(data, 1)
    for path in entries(tmp_path)[1:]:
        path.unlink()
    monkeypatch.setattr(cache, "replacing", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_same(images(data), expected)
    assert len(caught) == 1 and "nothing more is added (No space left on device)" in str(caught[0].message)
    assert len(entries(tmp_path)) == 1


def test_what_cannot_work_is_refused(drawn, tmp_path):
    with pytest.raises(InputError, match="cache of 0 GB: give a positive limit"):
        ImageCache(tmp_path, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/cache cannot be made"):
        ImageCache(tmp_path / "file/cache", 1)
    store = ImageCache(tmp_path, 1)
    for options in ({"whole": True}, {"read": lambda path: np.zeros((9, 9), np.float32)}):
        with pytest.raises(InputError, match=r"set trainer\.cache=null"):
            dataset(drawn, cache=store, **options)
