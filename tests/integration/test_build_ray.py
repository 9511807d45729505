"""A build on a Ray cluster of two workers makes what one in processes makes, also where a worker is killed."""

import os
import signal
import sys
import threading
from fractions import Fraction
from pathlib import Path

import pytest

from benchmark_files import load_benchmark
from footage import film
from reads import unread_fields
from realis.builder.build import build
from realis.builder.captioner import CaptionsConfig
from realis.builder.captions import captions
from realis.builder.clip import Clip
from realis.builder.config import BuildConfig
from realis.builder.on_ray import Cluster, RayConfig
from realis.core.config import parse
from realis.core.errors import InputError
from tiny_qwen import write_tiny_qwen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
kill_build = load_benchmark("kill_build")


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    return kill_build.make_footage(tmp_path_factory.mktemp("ray") / "footage")


def build_in(folder, footage, *flags):
    folder.mkdir()
    words = ["--source", str(footage), "--output", str(folder / kill_build.OUTPUT), *kill_build.SMALL]
    build(parse(BuildConfig, [*words, "--publish.lr", "", *flags], "build_realisvideo.py"))
    return {name: content for name, content in kill_build.contents(folder).items() if name != "build.yaml"}


def is_below(process, other):
    """Whether ``other`` has started ``process``, itself or through others."""
    while process not in (0, other):
        process = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return process == other


def worker_at(title):
    """A process of a Ray cluster that this process has started and that is at work on ``title``; 0 if there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if title in (folder / "cmdline").read_text() and is_below(int(folder.name), os.getpid()):
                return int(folder.name)
        except OSError:  # it has ended meanwhile
            continue
    return 0


def kill_one(killed, over):
    """Kill the first worker that is seen at a task."""
    while not over.wait(0.01):
        if process := worker_at("ray::run_on_node"):
            os.kill(process, signal.SIGKILL)
            killed.append(process)
            return


def test_ray_builds_what_processes_build_also_where_a_worker_is_killed(footage, tmp_path):
    here = build_in(tmp_path / "here", footage)
    killed, over = [], threading.Event()
    killer = threading.Thread(target=kill_one, args=(killed, over))
    killer.start()
    try:
        disturbed = build_in(tmp_path / "killed", footage, "--executor", "ray")
    finally:
        over.set()
        killer.join()
    assert killed and disturbed == here


def test_actors_caption_what_one_process_captions(tmp_path):
    """Two of them, on CPUs, each with a tiny Qwen2.5-VL of its own."""
    config = CaptionsConfig(model=str(write_tiny_qwen(tmp_path / "qwen")), frames=2, max_tokens=8, batch=1)
    files = [film(tmp_path / f"{number}.mp4", frames=6, place=15 * number) for number in range(10)]
    clips = [Clip(file.stem, str(file), frames=6, rate=Fraction(25), digest=file.stem) for file in files]
    for place in ("here", "there"):
        (tmp_path / place / "work").mkdir(parents=True)
    here = {clip.name: outcome for clip, outcome in captions(clips, tmp_path / "here", config)}
    with (
        unread_fields(RayConfig) as unread,
        Cluster(RayConfig(captioners=2, gpus=0), tmp_path / "there", workers=2) as cluster,
    ):
        there = {clip.name: outcome for clip, outcome in cluster.captions(clips, tmp_path / "there", config)}
    assert there == here
    assert unread == {"RayConfig.cpus"}  # of tasks that are no captions, as in the next test
    assert len({outcome.caption for (outcome,) in here.values()}) > 5


def test_a_cluster_gives_results_and_errors_as_processes_do(tmp_path):
    (tmp_path / "work").mkdir()
    before = signal.getsignal(signal.SIGTERM)
    with Cluster(RayConfig(), tmp_path, workers=2) as cluster:
        results = dict(cluster.tasks(int, ["1", "20", "x", "300"]))
        error = results.pop("x")
        assert results == {"1": 1, "20": 20, "300": 300}
        assert type(error) is ValueError and "'x'" in str(error)
        clip = Clip("clip", "video.mp4", digest="digest")
        with pytest.raises(InputError, match=r"--ray.captioners: got 2, each with --ray.gpus 64"):
            cluster.config = RayConfig(captioners=2, gpus=64)
            list(cluster.captions([clip], tmp_path, CaptionsConfig()))
        with pytest.raises(InputError, match=r"--ray.cpus: got 64, wanted at most 2"):
            cluster.config = RayConfig(cpus=64)
            cluster.tasks(int, ["1"])
        cluster.config = RayConfig()
        (tmp_path / "work").rmdir()
        ((_, refused),) = cluster.tasks(int, ["1"])
        assert isinstance(refused, InputError) and "must share" in str(refused)
    assert signal.getsignal(signal.SIGTERM) is before
    import ray

    assert not ray.is_initialized()


def test_where_no_cluster_is_the_build_says_so(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(InputError, match=r"--ray.address: got 127.0.0.1:9"),
        Cluster(RayConfig("127.0.0.1:9"), tmp_path, workers=0) as cluster,
    ):
        cluster.tasks(int, ["1"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"pip install .* '\.\[cluster\]'"),
        Cluster(RayConfig(), tmp_path, 2) as cluster,
    ):
        cluster.tasks(int, ["1"])
