"""Names of other libraries that realis uses though they are private, or in files that are.

A version without them would fail in the middle of a run, so pyproject.toml keeps these libraries below the next version
that was not tested. To raise that bound, install the version and run all tests.
"""

import ast
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Private(NamedTuple):
    """One name: the file of the library that defines it, the file of realis that depends on it, and what for."""

    name: str
    theirs: str
    ours: str
    reason: str


WAN = "diffusers/models/transformers/transformer_wan.py"
VAE = "diffusers/models/autoencoders/autoencoder_kl_wan.py"
MODEL = "diffusers/models/modeling_utils.py"
CONTROLNET = "realis/models/cpc/controlnet.py"
INJECTION = "realis/models/cpc/injection.py"
SEQUENCE = "realis/models/parallel.py"
PERCEPTUAL = "realis/metrics/perceptual.py"
PRIVATE = [
    Private("ContextParallelInput", "diffusers/models/_modeling_parallel.py", CONTROLNET, "how tokens are split"),
    Private("_cp_plan", MODEL, CONTROLNET, "which tensors are split by token"),
    Private("_cp_plan", WAN, SEQUENCE, "the same of the main transformer"),
    Private("_parallel_config", WAN, SEQUENCE, "attention among processes"),
    Private("_keep_in_fp32_modules", MODEL, CONTROLNET, "norms stay in float32"),
    Private("_keep_in_fp32_modules", MODEL, "realis/training/export.py", "and are exported so"),
    Private("_no_split_modules", MODEL, CONTROLNET, "a block stays on one device"),
    Private("_repeated_blocks", MODEL, CONTROLNET, "blocks are compiled once"),
    Private("_supports_gradient_checkpointing", MODEL, CONTROLNET, "else gradient checkpointing is refused"),
    Private("_gradient_checkpointing_func", MODEL, CONTROLNET, "checkpointing of a block"),
    Private("_gradient_checkpointing_func", MODEL, INJECTION, "likewise"),
    Private("WanRotaryPosEmbed", WAN, CONTROLNET, "the branch is made of the main transformer's parts"),
    Private("WanTransformerBlock", WAN, CONTROLNET, "likewise"),
    Private("condition_embedder", WAN, INJECTION, "time and text are embedded once for both networks"),
    Private("scale_shift_table", WAN, INJECTION, "the forward of the main transformer, with residuals"),
    Private("norm_out", WAN, INJECTION, "likewise"),
    Private("_conv_idx", VAE, "realis/training/steps/vae_decoder.py", "decoding without the last clamp"),
    Private("_feat_map", VAE, "realis/training/steps/vae_decoder.py", "likewise"),
    Private("unpatchify", VAE, "realis/training/steps/vae_decoder.py", "likewise"),
    Private("patchify", VAE, "realis/tiny/pca_init.py", "the encoder's order of channels"),
    Private("WanResidualBlock", VAE, "realis/tiny/pca_init.py", "branches that begin silent"),
    Private("WanAttentionBlock", VAE, "realis/tiny/pca_init.py", "likewise"),
    Private("prompt_clean", "diffusers/pipelines/wan/pipeline_wan.py", "realis/models/wan/loading.py",
            "prompts are cleaned as Wan was trained"),
    Private("_lazy_init_hp_params_optimizer_state", "deepspeed/runtime/zero/stage_1_and_2.py",
            "realis/training/state.py", "AdamW's moments are put back on resume"),
    Private("single_partition_of_fp32_groups", "deepspeed/runtime/zero/stage_1_and_2.py",
            "realis/training/state.py", "likewise"),
    Private("fp32_partitioned_groups_flat", "deepspeed/runtime/zero/stage3.py",
            "realis/training/state.py", "likewise in stage 3"),
    Private("net", "torchmetrics/image/lpip.py", PERCEPTUAL, "LPIPS without the states of a metric"),
    Private("DISTSNetwork", "torchmetrics/functional/image/dists.py", PERCEPTUAL, "DISTS, built once for all frames"),
]  # fmt: skip
OF_PYTHON = {"_exit", "_replace"}  # documented in spite of their underscores


def library_file(theirs):
    """A file of an installed library, which is not imported: DeepSpeed takes seconds."""
    package, _, rest = theirs.partition("/")
    spec = importlib.util.find_spec(package)
    return spec and Path(spec.origin).parent / rest


def defined_in(file):
    """Functions, classes, variables and attributes that a file defines or assigns."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


@pytest.mark.parametrize("private", PRIVATE, ids=lambda private: f"{private.name}-{Path(private.ours).stem}")
def test_a_private_name_is_there(private):
    file = library_file(private.theirs)
    if file is None and private.theirs.startswith("deepspeed/"):
        pytest.skip("DeepSpeed is there on Linux only")
    assert file is not None and file.is_file() and private.name in set(defined_in(file)), (
        f"{private.theirs} has no {private.name} any more, which {private.ours} needs: {private.reason}"
    )
    assert re.search(rf"\b{private.name}\b", (ROOT / private.ours).read_text()), f"{private.ours} does not use it"


def private_names(file):
    """Private names of others in a file: attributes of anything but self, and imports out of private modules."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("realis", "__future__")):
            parts = (node.module or "").split(".")
            yield from (alias.name for alias in node.names if any(p.startswith("_") for p in [*parts, alias.name]))


def test_every_private_name_is_listed():
    used = {
        (str(file.relative_to(ROOT)), name)
        for file in (ROOT / "realis").rglob("*.py")
        for name in private_names(file)
        if name not in OF_PYTHON
    }
    assert len(used) >= 5  # they are seen
    assert used - {(private.ours, private.name) for private in PRIVATE} == set()


def test_libraries_with_private_names_have_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [line for lines in (project["dependencies"], *project["optional-dependencies"].values()) for line in lines]
    for library in {private.theirs.partition("/")[0] for private in PRIVATE}:
        (requirement,) = [line for line in wanted if re.match(rf"{library}\b", line)]
        assert "<" in requirement, f"{requirement}: wanted a bound, since realis uses private names of {library}"
