"""Promises about the repository itself: floors, configuration, command lines, recipes, imports."""

import ast
import dataclasses
import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from realis.builder.config import BuildConfig
from realis.builder.quality import LIMITS
from realis.commands.degradation_sheets import SheetsConfig
from realis.commands.precompute import PrecomputeConfig
from realis.commands.train_cpc import TrainCpcConfig
from realis.commands.train_decoder import TrainDecoderConfig
from realis.commands.train_prior import TrainPriorConfig
from realis.commands.train_tiny import TrainTinyConfig
from realis.commands.train_vae import TrainVaeConfig
from realis.commands.upscale import make_config, parse_upscale
from realis.core.config import dump, parse, recipe_flags
from realis.data.lr_sets.config import DegradeConfig
from realis.degradation.config import DegradationConfig
from realis.methods import DEFAULT, METHODS, find_method
from realis.models.hub import PRESETS
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.cpc_config import CpcConfig

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"core", "torchvision_hook"},
    {"parallel", "ops", "upscaler"},
    {"diffusion", "video", "tiling", "pictures", "serving", "losses", "degradation", "metrics"},
    {"models"},
    {"data"},
    {"training", "upscaling", "builder"},
    {"comparators", "tiny"},
    {"methods"},
    {"evaluation"},
    {"commands"},
]
IMPORT_TORCHVISION = {"torchvision", "diffusers", "transformers", "piq", "pyiqa", "qwen_vl_utils", "spandrel"}
CONFIGS = {
    "upscale": UpscaleConfig,
    "make_lr": DegradeConfig,
    "build_realisvideo": BuildConfig,
    "degradation_sheets": SheetsConfig,
    "train_cpc": TrainCpcConfig,
    "train_vae": TrainVaeConfig,
    "train_prior": TrainPriorConfig,
    "train_decoder": TrainDecoderConfig,
    "train_tiny": TrainTinyConfig,
}
PARSERS = {  # by script
    name: lambda words, config=config: parse(config, words, "test")
    for name, config in (CONFIGS | {"precompute": PrecomputeConfig}).items()
} | {"upscale": parse_upscale}


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def floor_of(room):
    (floor,) = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    return floor


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "realis":
            names = [f"realis.{a.name}" for a in node.names] if node.module == "realis" else [node.module]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "realis")


@pytest.mark.parametrize("file", sorted((ROOT / "realis").rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_down(file):
    relative = file.relative_to(ROOT / "realis")
    room = relative.parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for module in imports_of(file):
        other = room_of(module)
        if other and other != room:
            assert floor_of(other) < floor_of(room), f"{relative} imports {module}, which is not below it"


def imported_files(file, modules):
    """Those of ``modules`` that a file imports, wherever in it: also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            # a name in "from realis.video import read" may be a file, or be defined in realis/video/__init__.py
            names = [f"{node.module}.{a.name}" for a in node.names]
            yield from {name if name in modules else node.module for name in names} & modules
        elif isinstance(node, ast.Import):
            yield from {a.name for a in node.names} & modules


def circle(imports):
    """A circle of imports, as the names from one to the same again; ``None`` if there is none."""
    finished = set()

    def search(name, path):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in finished:
            return None
        for other in sorted(imports[name]):
            if found := search(other, [*path, name]):
                return found
        finished.add(name)
        return None

    return next(filter(None, (search(name, []) for name in sorted(imports))), None)


def test_no_imports_go_in_a_circle():
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (ROOT / "realis").rglob("*.py")
    }
    imports = {name: set(imported_files(file, files.keys())) - {name} for name, file in files.items()}
    assert sum(map(len, imports.values())) > len(files)  # imports are seen
    assert circle(imports) is None


def test_a_circle_is_found(tmp_path):
    (tmp_path / "a.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.b import B\n")
    (tmp_path / "b.py").write_text("def f():\n    from room import c\n")
    (tmp_path / "c.py").write_text("import room.a\n")
    modules = {"room", "room.a", "room.b", "room.c"}
    imports = {name: set(imported_files(tmp_path / f"{name[-1]}.py", modules)) for name in modules - {"room"}}
    assert circle(imports) == ["room.a", "room.b", "room.c", "room.a"]
    assert circle(imports | {"room.c": set()}) is None


def type_of(config, field):
    """The type of a field; of the options of a method, those of the default one."""
    kind = typing.get_type_hints(config)[field.name]
    return CpcConfig if isinstance(kind, typing.TypeVar) else kind


def fields_of(config, seen=()):
    for field in dataclasses.fields(config):
        kind = type_of(config, field)
        yield config, field.name
        if dataclasses.is_dataclass(kind) and kind not in seen:
            yield from fields_of(kind, (*seen, kind))


def test_every_field_of_a_configuration_is_read():
    read = {limit.field for limit in LIMITS}  # of the quality stage: they are read by these names
    for file in (ROOT / "realis").rglob("*.py"):
        tree = ast.parse(file.read_text())
        posts = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__post_init__"]
        checks = {id(n) for post in posts for n in ast.walk(post)}
        read |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and id(n) not in checks}
    unread = {
        f"{c.__name__}.{name}"
        for config in [*CONFIGS.values(), DegradationConfig]
        for c, name in fields_of(config)
        if name not in read
    }
    assert unread == set()


def test_flags_of_a_method_are_told_apart_by_its_name():
    common = {field.name for field in dataclasses.fields(UpscaleConfig)}
    for name in METHODS:
        prefix = find_method(name).Config.PREFIX
        assert prefix == ("" if name == DEFAULT else name) and prefix not in common


@pytest.mark.parametrize("name", METHODS)
def test_a_written_configuration_of_any_method_is_a_recipe(name, tmp_path):
    dump(make_config(method=name), tmp_path / "config.yaml")
    assert parse_upscale([str(tmp_path / "config.yaml")]) == make_config(method=name)


def is_required(field):
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def flags_of(config, prefix=""):
    for field in dataclasses.fields(config):
        kind = type_of(config, field)
        name = f"{prefix}{field.name.replace('_', '-')}"
        default = "required" if is_required(field) else repr(field.default)
        if dataclasses.is_dataclass(kind):
            yield from flags_of(kind, f"{name}." if getattr(kind, "PREFIX", name) else prefix)
        else:
            yield f"--{name}: {getattr(kind, '__name__', kind) if kind in (str, int, float, bool) else kind} = {default}"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_line_is_pinned(name):
    flags = "\n".join(flags_of(CONFIGS[name])) + "\n"
    pinned = ROOT / "tests" / "goldens" / f"flags_{name}.txt"
    assert flags == pinned.read_text(), f"the flags of {name} changed; if that is meant, update {pinned}"


def command_of(recipe):
    if recipe.is_relative_to(ROOT / "infer"):
        return "upscale"
    if recipe.stem.startswith("build_"):
        return "build_realisvideo"
    return name if (name := f"train_{recipe.stem}") in CONFIGS else "train_cpc"


LAUNCH = sorted((ROOT / "train" / "launch").glob("*.yaml"))


@pytest.mark.parametrize(
    "recipe",
    [
        f
        for room in ("train", "infer", "dataset_tools", "realis")
        for f in (ROOT / room).rglob("*.yaml")
        if f not in LAUNCH
    ],
    ids=lambda f: str(f.relative_to(ROOT)),
)
def test_recipes_parse_and_say_no_more_than_they_need(recipe):
    name = command_of(recipe)
    assert PARSERS[name]([str(recipe)]) != (make_config() if name == "upscale" else CONFIGS[name]())
    assert recipe_flags(recipe)


@pytest.mark.parametrize("file", LAUNCH, ids=lambda f: f.stem)
def test_launch_files_are_what_accelerate_understands(file):
    """Accelerate's own reader refuses unknown keys; what a file says of processes is what its name and comments say."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    config = load_config_from_file(str(file))
    assert config.mixed_precision == "no"  # the training step casts by itself
    args, _, _ = _validate_launch_command(
        launch_command_parser().parse_args(["--config_file", str(file), "train/train_cpc.py"])
    )
    assert args.num_processes == (16 if "multi" in file.stem else 8 if "8gpu" in file.stem else 1)
    assert args.num_machines == (2 if "multi" in file.stem else 1)
    assert args.use_deepspeed == file.stem.startswith("zero") and args.use_fsdp == ("fsdp_config" in file.read_text())
    if args.use_deepspeed:
        assert str(args.zero_stage) == file.stem[4]
    if args.use_fsdp:
        assert str(args.fsdp_version) == "2" and args.fsdp_transformer_layer_cls_to_wrap == "WanTransformerBlock"


def test_flags_come_after_the_recipe(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("controlnet: {time_conditioned: false, text_conditioned: false, layers: 3}\nflow: {shift: 4}\n")
    parsed = parse(TrainCpcConfig, [str(recipe), "--controlnet.time-conditioned", "--flow.shift", "5"], "test")
    assert (parsed.controlnet.time_conditioned, parsed.controlnet.text_conditioned) == (True, False)
    assert (parsed.controlnet.layers, parsed.flow.shift) == (3, 5)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_written_configuration_is_a_recipe(name, tmp_path):
    required = {f.name: "x" for f in dataclasses.fields(CONFIGS[name]) if is_required(f)}
    config = make_config(steps=4) if name == "upscale" else CONFIGS[name](**required)
    dump(config, tmp_path / "config.yaml")
    assert PARSERS[name]([str(tmp_path / "config.yaml")]) == config


def test_importing_realis_is_quick_and_touches_nothing():
    code = (
        "import os, sys\n"
        "before = dict(os.environ), list(sys.meta_path)\n"
        "import realis\n"
        "print((dict(os.environ), sys.meta_path) == before)\n"
        "print(sorted({'torch', 'numpy', 'diffusers', 'av', 'yaml'} & set(sys.modules)))\n"
    )
    kept = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ
    }  # realis may have set others
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept)
    assert done.stdout.splitlines() == ["True", "[]"]


def test_commands_tell_openmp_how_to_wait_before_torch_is_loaded():
    code = "import realis.commands.__main__, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["20000", "False"]


def imports_torchvision(file):
    """Whether a file imports a library that imports torchvision, at its top or in a function."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if IMPORT_TORCHVISION & {name.split(".")[0] for name in names}:
            return True
    return False


def test_rooms_whose_files_import_torchvision_install_its_hook():
    """Before any of their files: whichever of them is imported first."""
    files = [file for file in (ROOT / "realis").rglob("*.py") if imports_torchvision(file)]
    rooms = {file.relative_to(ROOT / "realis").parts[0] for file in files}
    assert "models" in rooms  # they are seen
    without = {room for room in rooms if "install()" not in (ROOT / "realis" / room / "__init__.py").read_text()}
    assert without == set()


@pytest.mark.slow
def test_torchvision_imports_beside_a_cpu_only_torch():
    code = (
        "import importlib.util, realis.models\n"
        "importlib.util.find_spec('torchvision')\n"  # transformers asks so whether it is there, and may not import it
        "import realis.training, piq\n"
        "from diffusers import WanTransformer3DModel\n"
        "from transformers import UMT5EncoderModel\n"
        "from torchvision.models.optical_flow import raft_small\n"
        "import torch\n"
        "flow = raft_small(weights=None).eval()\n"
        "with torch.no_grad():\n"
        "    print(flow(torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 128, 128), num_flow_updates=1)[0].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[1, 2, 128, 128]" in done.stdout


def test_examples_in_docstrings_hold():
    files = [file for file in sorted((ROOT / "realis").rglob("*.py")) if ">>>" in file.read_text(encoding="utf-8")]
    modules = [importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files]
    assert len(modules) > 20
    assert [module.__name__ for module in modules if doctest.testmod(module).failed] == []


def test_weights_are_small_and_safetensors_only():
    weights = [f for f in PRESETS.rglob("*") if f.is_file() and f.suffix not in (".json", ".md", ".py", ".pyc")]
    assert {f.suffix for f in weights} == {".safetensors"}
    assert sum(f.stat().st_size for f in weights) <= 10e6


def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_picture_of_the_house_has_every_room_on_its_floor():
    (picture,) = re.findall(r"```\n(9 .*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    floors = re.split(r"^(?=\d  )", picture, flags=re.M)[:0:-1]
    rooms = {path.stem for path in (ROOT / "realis").iterdir() if path.suffix in ("", ".py")} - {
        "__init__",
        "__pycache__",
    }
    assert len(floors) == len(FLOORS)
    for here, drawn in zip(FLOORS, floors, strict=True):
        for room in here & rooms - {"torchvision_hook"}:
            assert re.search(rf"\b{room}\b", drawn), f"{room} is not drawn on its floor"


def blocks_of(language):
    for document in documents():
        yield from re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.S)


@pytest.mark.parametrize("document", documents(), ids=lambda f: f.name)
def test_documents_name_real_files(document):
    readme = document.read_text()
    for path in re.findall(r"`((?:realis|train|infer|benchmarks|docs|tests|dataset_tools)/[\w./*-]*)`", readme):
        assert list(ROOT.glob(path.rstrip("/"))), f"{document.name} names {path}, which is not there"
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (document.parent / link).exists(), f"{document.name} links to {link}, which is not there"


def commands_of(document):
    """Command lines in blocks of a document, and those in its sentences."""
    text = document.read_text()
    for block in re.findall(r"```bash\n(.*?)```", text, re.S):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`((?:python3?|accelerate|pip) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_commands_of_the_documents_run_as_printed(document):
    """From the root of the repository, after it was installed into .venv."""
    bare = [
        line for line in commands_of(document) if re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:python3?|accelerate|pip) ", line)
    ]
    assert not bare, f"{document.name}: begin these with .venv/bin/"


def test_commands_of_the_documents_parse():
    """Every command of README and docs is accepted by the parser of the program that it calls."""
    seen = 0
    for block in blocks_of("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            script = next(
                (w for w in words if w.endswith(".py") and w.startswith(("infer/", "train/", "dataset_tools/"))), None
            )
            if script:
                name = Path(script).stem
                words = [
                    w for w in words[words.index(script) + 1 :] if not (w.startswith("out/") and w.endswith(".yaml"))
                ]  # what a run wrote
                arguments = [str(ROOT / w) if w.endswith(".yaml") else w for w in words]
                PARSERS[name](arguments)
                seen += 1
    assert seen >= 4


def test_python_of_the_documents_runs(tmp_path, monkeypatch):
    from fractions import Fraction

    import numpy as np

    from realis.video.write import SegmentWriter

    monkeypatch.chdir(tmp_path)
    with SegmentWriter(tmp_path / "holiday.mp4", (24, 32), Fraction(25)) as sink:
        sink.write(0, (np.full((24, 32, 3), i * 20, np.uint8) for i in range(3)))
    blocks = list(blocks_of("python"))
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "document", "exec"), {})
    assert list(tmp_path.glob("out/*.mp4"))
