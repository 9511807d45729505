"""Worker processes: each keeps to one core."""

from footage import film
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


def test_a_video_is_decoded_by_the_threads_that_are_asked_for(tmp_path):
    file = film(tmp_path / "a.mp4", frames=3)
    for threads in (1, 2):
        with VideoReader(file, threads) as video:
            assert video.stream.codec_context.thread_count == threads and len(list(video)) == 3
