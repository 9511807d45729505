"""The command lines: their fields are read, their flags pinned, recipes parse, and launch files are understood."""

import ast
import dataclasses

import pytest

from command_lines import CONFIGS, OPTIONS, PARSERS, ROOT, flags_of, is_required
from reads import fields_of
from realis.builder.quality import LIMITS
from realis.commands.train_cpc import TrainCpcConfig
from realis.core.config import dump, parse, recipe_flags
from realis.degradation.config import DegradationConfig
from realis.methods.flags import make_config, parse_upscale
from realis.methods.registry import DEFAULT, METHODS, find_method, find_training
from realis.models.hub import TINY
from realis.models.wan.geometry import tokens
from realis.upscaling.app.config import UpscaleConfig
from realis.upscaling.app.plan import tile_for, tiles_of


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
        for c, name in fields_of(config, OPTIONS.get(config))
        if name not in read
    }
    assert unread == set()


def test_flags_of_a_method_are_told_apart_by_its_name():
    common = {field.name for field in dataclasses.fields(UpscaleConfig)}
    for name in METHODS:
        prefix = find_method(name).Config.PREFIX
        assert prefix == ("" if name == DEFAULT else name.replace("_", "-")) and prefix not in common


@pytest.mark.parametrize("name", METHODS)
def test_a_written_configuration_of_any_method_is_a_recipe(name, tmp_path):
    dump(make_config(method=name), tmp_path / "config.yaml")
    assert parse_upscale([str(tmp_path / "config.yaml")]) == make_config(method=name)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_line_is_pinned(name):
    flags = "\n".join(flags_of(CONFIGS[name])) + "\n"
    pinned = ROOT / "tests" / "goldens" / f"flags_{name}.txt"
    assert flags == pinned.read_text(), f"the flags of {name} changed; if that is meant, update {pinned}"


# Those of cpc and of sd_x4's training stand with the commands' own, and bicubic has none
OF_METHODS = [("", name) for name in ("basicvsr", "image", "sd_x4", "stablevsr", "dgaf_vsr", "videogigagan")]
OF_TRAININGS = [("train_", name) for name in ("stablevsr", "dgaf_vsr", "basicvsr", "videogigagan")]


@pytest.mark.parametrize(("command", "name"), OF_METHODS + OF_TRAININGS)
def test_the_flags_of_a_method_are_pinned(command, name):
    kind = (find_training if command else find_method)(name).Config
    pinned = ROOT / "tests" / "goldens" / f"flags_{command}{name}.txt"
    flags = "".join(f"{line}\n" for line in flags_of(kind, f"{kind.PREFIX}."))
    assert flags == pinned.read_text(), f"the flags of {name} changed; if that is meant, update {pinned}"


def command_of(recipe):
    if recipe.is_relative_to(ROOT / "infer"):
        return "evaluate" if recipe.parent.name == "evaluate" else "upscale"
    if recipe.stem.startswith("build_"):
        return "build_realisvideo"
    if (name := f"train_{recipe.stem}") in CONFIGS:
        return name
    return "train_comparator" if recipe.parent.name == "comparators" else "train_cpc"


@pytest.mark.parametrize(
    ("name", "size", "count", "tokens_of_a_tile"),
    [("4k_h100", (2160, 3840), 25, 20_280), ("4k_h20", (2160, 3840), 25, 20_280), ("4k_24gb", (2160, 3840), 25, 20_280),
     ("720p_single_pass", (720, 1280), 1, 46_800)],
)  # fmt: skip
def test_recipes_have_the_tiles_that_their_comments_count(name, size, count, tokens_of_a_tile):
    """Tiles do not depend on the model, which is the one that comes with the package here."""
    config = parse_upscale([str(ROOT / "infer" / "recipes" / f"{name}.yaml"), "--model", TINY])
    needs = find_method(config.method).needs(config.options, prompted=False)
    tiles = tiles_of(size, needs, tile_for(size, needs))
    assert len(tiles) == count
    assert {tokens(49, tile.bottom - tile.top, tile.right - tile.left) for tile in tiles} == {tokens_of_a_tile}


LAUNCH = sorted((ROOT / "train" / "launch").glob("*.yaml"))


@pytest.mark.parametrize(
    "recipe",
    [
        f
        for room in ("train", "infer", "dataset_tools", "realis/commands")
        for f in (ROOT / room).rglob("*.yaml")
        if f not in LAUNCH
    ],
    ids=lambda f: str(f.relative_to(ROOT)),
)
def test_recipes_parse_and_say_no_more_than_they_need(recipe):
    name = command_of(recipe)
    assert PARSERS[name]([str(recipe)]) != (PARSERS[name]([]) if CONFIGS[name] in OPTIONS else CONFIGS[name]())
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
    config = PARSERS[name]([]) if CONFIGS[name] in OPTIONS else CONFIGS[name](**required)
    dump(config, tmp_path / "config.yaml")
    assert PARSERS[name]([str(tmp_path / "config.yaml")]) == config
