"""A first look at realis on one GPU; run it by benchmarks/on_gpu.sh, which sets its environment.

Each part is a command with a time limit of its own, all within a budget: one tile and one training step at the true
sizes of Wan2.1-T2V-1.3B, the tests that need a GPU, the demo, and whole upscales of 49 frames: to 720p in a single pass
and in tiles of 480p, and to 4K under a static CPC, whose features fused tiles keep on the device or in main memory. The
weights are random: times and memory are the real ones, pictures are not. A part that fails or takes too long does not
stop the rest. OUT gets a log of each part, and report.md with a table and what the tile and the training step measured;
GPU memory is what everything on the card has in use, which nvidia-smi is asked for twice a second. Exit code 1 if a part
failed, took too long, or had no time left.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from command_line import parser_of

ROOT = Path(__file__).parents[1]
LEAST = 10  # seconds below which no part is begun
SAMPLING = 0.5  # seconds between two looks at the card's memory
# In a process of its own: torch would keep a part of the card's memory for as long as it lives
VERSIONS = """
import sys, diffusers, torch, transformers
versions = f"torch {torch.__version__}, diffusers {diffusers.__version__}, transformers {transformers.__version__}"
if sys.argv[1] == "cpu":
    print(f"a CPU, in miniature; {versions}")
elif torch.cuda.is_available():
    card = torch.cuda.get_device_properties(0)
    print(f"{card.name}, {card.total_memory / 2**30:.0f} GiB; CUDA {torch.version.cuda}, {versions}")
else:
    sys.exit("no CUDA device; SMALL=1 tries the script on a CPU")
"""


@dataclass(frozen=True)
class Part:
    """A command and how it is reported.

    Args:
        name: of its log and its row.
        limit: seconds.
        command: what Python is given, in the root of the repository.
        says: is in the line of its output that the table gets; empty: the last line.
    """

    name: str
    limit: float
    command: str
    says: str = ""


@dataclass(frozen=True)
class Outcome:
    """A row of the table; ``memory`` in MiB, the most that was in use on the card, 0 if not known."""

    name: str
    code: str
    seconds: float = 0
    memory: int = 0
    line: str = ""


def parts_of(work: Path, small: bool) -> list[Part]:
    """Return all parts in their order: what matters most comes first, as the budget may end before the last."""
    device, clip = ("cpu", "--runs 1 --layers 2 --frames 5 --height 64 --width 64") if small else ("cuda", "--runs 3")
    sample, hd, uhd = ("1x", "2x", "4x") if small else ("4k", "720p", "4k")
    single = "--tile-height 64 --tile-width 96" if small else "--tile-height 720 --tile-width 1280"
    folder = shlex.quote(str(work))
    wan = f"{folder}/wan"
    upscale = (
        f"infer/upscale.py --device {device} --model {wan}/base "
        f"--input {wan}/clip.mp4 --output {folder}/result.mp4 --restart"
    )
    prompted = f"--cpc {wan}/cpc --prompt-embeds {wan}/prompt.safetensors"
    static = f"--cpc {wan}/cpc_static --empty-prompt-embeds {wan}/prompt.safetensors"
    hd_4_steps = f"{upscale} {prompted} --target {hd} --steps 4"
    uhd_2_steps = f"{upscale} {static} --target {uhd} --steps 2 --vae-dtype bfloat16"
    return [
        Part("versions", 90, f"-c {shlex.quote(VERSIONS)} {device}"),
        Part("wan_tile", 150, f"benchmarks/wan_tile.py --device {device} {clip}", "transformer, one step"),
        Part("training_step", 120, f"benchmarks/training_step.py --device {device} {clip}", "step:"),
        Part("gpu_tests", 90, "-m pytest -q -p no:cacheprovider tests/integration/test_gpu.py"),
        Part("random_wan", 90, f"benchmarks/random_wan.py {wan} {'--small' if small else ''}"),
        Part("upscale_720p_single_pass_4_steps", 120, f"{hd_4_steps} {single}"),
        Part("upscale_4k_fused_2_steps", 150, f"{uhd_2_steps} --tiling fused --control-cache device"),
        Part("upscale_4k_fused_host_2_steps", 150, f"{uhd_2_steps} --tiling fused --control-cache host"),
        Part("upscale_4k_independent_2_steps", 150, f"{uhd_2_steps} --tiling independent"),
        Part("upscale_720p_4_steps", 120, hd_4_steps),
        Part("demo", 90, f"infer/upscale.py --device {device} --target {sample} --output {folder}/demo.mp4 --restart"),
        Part("upscale_720p_4_steps_compiled", 180, f"{hd_4_steps} --compile"),
        Part("upscale_4k_shifted_2_steps", 150, f"{uhd_2_steps} --tiling shifted"),
    ]


def run_part(part: Part, limit: float, log: Path, on_gpu: bool) -> Outcome:
    """Run a part for at most ``limit`` seconds; all that it started ends with it."""
    began, code, memory = time.monotonic(), None, 0
    with log.open("wb") as output:
        words = [sys.executable, *shlex.split(part.command)]
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
        try:
            while code is None and time.monotonic() - began < limit:
                memory = max(memory, used_memory()) if on_gpu else 0
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(SAMPLING)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # readers and compilers outlive the process that started them
            process.wait()
    said = "too long" if code is None else str(code)
    return Outcome(part.name, said, time.monotonic() - began, memory, line_of(log, part.says if code == 0 else ""))


def used_memory() -> int:
    """Return MiB in use on the fullest card, by everything that runs there; 0 if nvidia-smi does not say."""
    smi = shutil.which("nvidia-smi")
    if not smi:
        return 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        query = [smi, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        answer = subprocess.run(query, capture_output=True, text=True, timeout=5, check=False).stdout
        return max(map(int, re.findall(r"\d+", answer)), default=0)
    return 0


def line_of(log: Path, says: str) -> str:
    """Return the last line that has ``says`` in it, or else the last one; each state of a progress bar is a line. The
    folders of files are left out."""
    text = re.sub(r"(?<!\S)/\S*/", "", log.read_text(errors="replace"))
    lines = [" ".join(line.split()) for line in re.split(r"[\r\n]+", text) if line.strip()]
    fits = [line for line in lines if says in line]
    return (fits or lines or [""])[-1][:160]


def report(outcomes: list[Outcome], out: Path) -> str:
    """Return what was found, in Markdown."""
    rows = ["| part | exit code | seconds | peak GPU memory, GiB | what it says |", "|---|---|---|---|---|"]
    for o in outcomes:
        memory, line = f"{o.memory / 1024:.1f}" if o.memory else "", o.line.replace("|", "\\|")
        rows.append(f"| {o.name} | {o.code} | {o.seconds:.1f} | {memory} | {line} |")
    logs = [out / f"{o.name}.log" for o in outcomes if o.name in ("wan_tile", "training_step")]
    measured = [f"```\n{log.read_text(errors='replace').strip()}\n```" for log in logs if log.exists()]
    return "\n\n".join(["\n".join(rows), *measured]) + "\n"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "out" / "on_gpu")
    parser.add_argument("only", nargs="*", help="names of parts; all if none; upscales need random_wan")
    parser.add_argument("--budget", type=float, default=520, help="seconds")
    parser.add_argument("--small", action="store_true")
    a = parser.parse_args()
    unknown = sorted(set(a.only) - {part.name for part in parts_of(Path(), a.small)})
    if unknown:
        parser.error(f"no such parts: {', '.join(unknown)}")
    stop, out, outcomes = time.monotonic() + a.budget, a.out.absolute(), []
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        parts = [part for part in parts_of(Path(name), a.small) if part.name in ("versions", *(a.only or [part.name]))]
        for part in parts:
            left, log = stop - time.monotonic(), out / f"{part.name}.log"
            log.unlink(missing_ok=True)
            if left < LEAST:
                outcomes.append(Outcome(part.name, "no time left"))
            else:
                outcomes.append(run_part(part, min(part.limit, left), log, not a.small))
            print(f"{part.name}: {outcomes[-1].code}, {outcomes[-1].seconds:.1f} s: {outcomes[-1].line}", flush=True)
            if part.name == "versions" and outcomes[-1].code != "0":
                raise SystemExit(1)  # without torch or a card nothing else can run
    (out / "report.md").write_text(report(outcomes, out))
    print(f"\n{(out / 'report.md').read_text()}")
    raise SystemExit(any(outcome.code != "0" for outcome in outcomes))


if __name__ == "__main__":
    main()
