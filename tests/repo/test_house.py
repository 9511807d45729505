"""The house: what may import what, what imports bring, docstrings, weights."""

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from realis.models.hub import PRESETS

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


def documented_arguments(node):
    """The names under ``Args:`` in the docstring of a function or a class."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", f"{ast.get_docstring(node) or ''}\n", re.M)
    return re.findall(r"^    (\w+(?:, \w+)*):", section[1], re.M) if section else []


def arguments_of(node):
    """The parameters of a function; of a class, those of its ``__init__``, or its annotated fields."""
    if isinstance(node, ast.ClassDef):
        init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if not init:
            return [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        node = init
    given = node.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if one]


@pytest.mark.parametrize("room", sorted({file.relative_to(ROOT).parts[1] for file in (ROOT / "realis").rglob("*.py")}))
def test_documented_arguments_are_there_in_their_order(room):
    files = [ROOT / "realis" / room] if room.endswith(".py") else (ROOT / "realis" / room).rglob("*.py")
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                told = [name for names in documented_arguments(node) for name in names.split(", ")]
                real = arguments_of(node)
                assert told == [name for name in real if name in told], f"{file}:{node.lineno}: {node.name}"


def test_weights_are_small_and_safetensors_only():
    weights = [f for f in PRESETS.rglob("*") if f.is_file() and f.suffix not in (".json", ".md", ".py", ".pyc")]
    assert {f.suffix for f in weights} == {".safetensors"}
    own = sum(f.stat().st_size for f in weights if f.is_relative_to(PRESETS / "tiny"))
    assert own <= 10e6
    assert sum(f.stat().st_size for f in weights) - own <= 10e6  # those of all comparators together


def test_every_comparator_brings_what_the_contract_asks_for():
    rooms = [path.parent for path in (ROOT / "realis" / "comparators").glob("*/__init__.py")]
    wanted = ["config.py", "card.py", "method.py", "upscaler.py", "PROVENANCE.md"]
    lacking = [f"{room.name}/{name}" for room in rooms for name in wanted if not (room / name).is_file()]
    assert rooms and not lacking
