"""Worker processes: each keeps to one core, and one that is killed ends the work."""

import importlib
import os

import pytest

from footage import film
from realis.builder.build import STAGES_IMPORT
from realis.core.errors import RunError
from realis.data.lr_sets.clips import DEGRADING
from realis.parallel.workers import Workers
from realis.video.read import VideoReader


def thread_counts(_):
    import cv2
    import torch

    return torch.get_num_threads(), cv2.getNumThreads()


def test_what_computes_in_a_worker_uses_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")  # of the tests
    with Workers(1) as workers:
        assert list(workers.tasks(thread_counts, [0])) == [(0, (1, 1))]


@pytest.mark.parametrize("name", [*STAGES_IMPORT, *DEGRADING])
def test_what_is_imported_for_workers_is_there(name):
    """A name that is not would be passed over in silence."""
    assert importlib.import_module(name)


def test_a_video_is_decoded_by_the_threads_that_are_asked_for(tmp_path):
    file = film(tmp_path / "a.mp4", frames=3)
    for threads in (1, 2):
        with VideoReader(file, threads) as video:
            assert video.stream.codec_context.thread_count == threads and len(list(video)) == 3


def test_a_worker_that_is_killed_is_no_fault_of_what_was_given():
    with Workers(1) as workers, pytest.raises(RunError, match=r"a worker process was killed, .*fewer --workers"):
        list(workers.tasks(os._exit, [1]))
