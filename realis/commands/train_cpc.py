"""``train_cpc``: train the Consistency-Preserved ControlNet over a frozen Wan transformer."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realis.core.errors import InputError, require
from realis.core.log import logger
from realis.data.caption_files import check_embeddings
from realis.data.clips_config import ClipsConfig
from realis.data.manifest import read_held_out, read_manifest
from realis.data.pairs_config import DataConfig
from realis.losses.config import HrLossConfig
from realis.models.cpc.interval import block_interval, default_control_layers
from realis.models.hub import MOST, TINY, check_base, check_parts, has_text_encoder, model_folder, part_folder
from realis.models.wan.geometry import CELL, PATCH, TOKEN, are_multiples, has_whole_latents, latent_size, tokens
from realis.training.run_folder import claim_run, overlap
from realis.training.settings import CpcLoopConfig, FlowConfig, OptimizerConfig, ValidationConfig

if TYPE_CHECKING:
    import torch

    from realis.data.held_out import HeldOutClips
    from realis.data.pairs import HeldOutPairs
    from realis.models.cpc.controlnet import CpcControlNet
    from realis.models.wan.loading import Wan
    from realis.training.feed import Source
    from realis.training.run import Run


CLIPS = (0, 0, 0)  # a window as large as the clips


@dataclass(frozen=True)
class ControlConfig:
    """A new control branch, and how inference samples with it unless told otherwise: pictures in training do so too."""

    layers: int = 0  # copied main blocks; 0: 4, or the most below 4 of which each is read
    input: Literal["lr", "lr+noisy"] = "lr"  # lr+noisy: the vanilla ControlNet of the paper's ablation
    time_conditioned: bool = True  # the branch sees the noise level; if neither that nor the caption: computed once
    text_conditioned: bool = True  # the branch sees the caption
    learn_scale: bool = False  # train a factor for each block's residual (gamma of Eq. 1), from 1
    window: tuple[int, int, int] = CLIPS  # frames, height, width that inference takes at a time; 0 0 0: the clips'
    steps: int = 20  # sampling steps
    shift: float = 3.0  # above 1: moves sampling towards high noise levels
    sampler: Literal["euler", "unipc"] = "unipc"  # solver of the flow's equation
    strength: float = 1.0  # how much of the result is taken over the resized input, 0 to 1; not in pictures in training

    def __post_init__(self) -> None:
        frames, height, width = self.window
        if self.window != CLIPS:
            require(has_whole_latents(frames), "--controlnet.window", self.window, "4 n + 1 frames")
            fits = are_multiples((height, width))
            require(fits, "--controlnet.window", self.window, f"multiples of {TOKEN} pixels")
        require(1 <= self.steps <= MOST["steps"], "--controlnet.steps", self.steps, f"1 to {MOST['steps']}")
        require(self.shift > 0, "--controlnet.shift", self.shift, "above 0")
        require(0 <= self.strength <= 1, "--controlnet.strength", self.strength, "0 to 1")


@dataclass(frozen=True)
class TrainCpcConfig:
    """Train the Consistency-Preserved ControlNet over a frozen Wan transformer."""

    model: str = TINY  # realis-tiny, a folder in diffusers' format, or a hub id
    cpc: str = ""  # CPC to train on, with settings of its own: a folder, hub id or realis-tiny; empty: a new one
    export: str = ""  # folder that receives the CPC; empty: <run.output>/export
    controlnet: ControlConfig = field(default_factory=ControlConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: HrLossConfig = field(default_factory=HrLossConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    run: CpcLoopConfig = field(default_factory=CpcLoopConfig)

    def __post_init__(self) -> None:
        footage, columns = bool(self.clips.manifest), self.run.sequence_parallel
        if self.cpc and replace(self.controlnet, window=CLIPS) != ControlConfig():
            raise InputError("--controlnet.* (given, or in the recipe) describes a new CPC, --cpc has settings of its own "
                             "(its config.json), all but --controlnet.window; leave one of them out")  # fmt: skip
        if footage and self.data != DataConfig():
            raise InputError(
                "--data.* (given, or in the recipe) renders clips from photographs, --clips.manifest reads footage; wanted one"
            )
        if not footage and self.clips != ClipsConfig():
            raise InputError(
                "--clips.* without --clips.manifest: no footage to read; give a manifest or leave them out"
            )
        if self.validation.manifest and not footage:
            raise InputError("--validation.manifest without --clips.manifest: clips from photographs are measured on others "
                             "of those; leave it out")  # fmt: skip
        flag, frames, sizes = "--data.size", self.data.frames, [(self.data.size, self.data.size)]
        if footage:
            flag, frames, sizes = "--clips.buckets", self.clips.frames, self.clips.sizes
            require(has_whole_latents(frames), "--clips.frames", frames, "4 n + 1, such as 49")
            # Of HOG cells of 4 latents, none is left over at a border; cells of 1 or 2 divide whatever is whole tokens.
            multiple = TOKEN if self.loss.hog == 0 or PATCH % self.loss.cell == 0 else 2 * TOKEN
            for height, width in sizes:
                wanted = f"WIDTHxHEIGHT in multiples of {multiple}, such as 832x480"
                require(are_multiples((height, width), multiple), flag, f"{width}x{height}", wanted)
        least = CELL * self.loss.cell * self.loss.block  # pixels
        for height, width in sizes:
            fits = self.loss.hog == 0 or min(height, width) >= least
            require(fits, flag, f"{width}x{height}", f"at least {least}, a block of the HOG term (or --loss.hog 0)")
            count = tokens(frames, height, width)
            require(count % columns == 0, "--run.sequence-parallel", columns,
                    f"a divisor of the {count} tokens of a {frames}-frame clip of {width}x{height}")  # fmt: skip

    @property
    def window(self) -> tuple[int, int, int]:
        """Frames, height and width that inference uses at a time: as given, else those of a clip, of the first
        bucket."""
        if self.controlnet.window != CLIPS:
            return self.controlnet.window
        if self.clips.manifest:
            return self.clips.frames, *self.clips.sizes[0]
        return self.data.frames, self.data.size, self.data.size


def check_footage(config: TrainCpcConfig) -> None:
    """Check the manifests and the embeddings of their captions, before a model is looked for.

    Raises:
        InputError: a manifest cannot be used, or an embedding is missing.
    """
    if config.clips.manifest:
        captions = captions_read(config)
        if config.clips.embeddings:
            check_embeddings(config.clips.embeddings, captions)


def captions_read(config: TrainCpcConfig) -> list[str]:
    """Return the captions that a run on footage reads, of its own clips and of those held out.

    Raises:
        InputError: a manifest cannot be used.
    """
    entries = read_manifest(config.clips.manifest)
    held_out = read_held_out(config.validation.manifest, entries) if config.validation.manifest else []
    return config.clips.captions_read(entry.caption for entry in [*entries, *held_out])


def check_text(config: TrainCpcConfig, folder: Path) -> None:
    """Check that captions come as the model wants them.

    Raises:
        InputError: no embeddings for a model that reads text, or some for one that does not.
    """
    reads_text, embeddings = has_text_encoder(folder), config.clips.embeddings
    if config.clips.manifest and reads_text and not embeddings:
        raise InputError(
            f"--clips.embeddings: {config.model} reads captions, so their embeddings are wanted; make them once with "
            f"train/precompute.py --model {config.model} --clips.manifest {config.clips.manifest} --clips.embeddings FOLDER"
        )
    if config.clips.manifest and not reads_text:
        logger.info("captions are not used: %s knows no text", config.model)
    if embeddings and not reads_text:
        raise InputError(f"--clips.embeddings: {config.model} knows no text; leave them out")


def train_cpc(config: TrainCpcConfig) -> None:
    """Train a CPC and export it."""
    check_footage(config)
    folder = model_folder(config.model, text_encoder=not config.clips.embeddings)
    cpc = model_folder(config.cpc, "--cpc", text_encoder=False) if config.cpc else None
    export = config.export or f"{config.run.output}/export"
    frozen = [folder / part for part in ("transformer", "vae", "text_encoder", "tokenizer")]
    require(not any(overlap(Path(export), part) for part in frozen), "--export", export,
            f"a folder of its own, not a part of --model {config.model} that is read")  # fmt: skip
    if cpc:
        check_parts(folder, cpc, "wan")
        require(not overlap(Path(export), part_folder(cpc, "controlnet")), "--export", export,
                f"a folder of its own, not the one that --cpc {config.cpc} is read from")  # fmt: skip
    else:
        new_layers(config.controlnet, check_base(folder)["num_layers"])  # raises if one would never be read
    check_text(config, folder)
    with claim_run(config.run, {"--export": export}):
        _train(config, folder, cpc, export)


def _train(config: TrainCpcConfig, folder: Path, cpc: Path | None, export: str) -> None:
    """Train over the model in ``folder``, from the CPC in ``cpc`` or a new one."""
    import torch

    from realis.data.batch import Batch
    from realis.losses.hr_loss import HrLoss
    from realis.metrics.psnr import psnr
    from realis.models.cpc.controlled import ControlledWan
    from realis.models.parallel import split_sequence
    from realis.models.wan.loading import Wan
    from realis.ops.finite import check_weights
    from realis.training.export import Card, export_parts
    from realis.training.latents import LatentCodec
    from realis.training.loop import fit
    from realis.training.run import start_run
    from realis.training.steps.cpc import CpcStep
    from realis.training.validation import Validator

    # 1. The frozen model and the control branch over it
    run = start_run(config, config.run.sequence_parallel)
    frozen = torch.bfloat16 if config.run.precision == "bf16" else torch.float32
    wan = Wan(folder, frozen, torch.float32, run.accelerator.device)
    check_weights(wan.transformer, folder / "transformer")
    check_weights(wan.vae, folder / "vae")
    controlnet = control_branch(config, wan, cpc)
    for model in (wan.transformer, controlnet):
        if config.run.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        if run.processes.columns > 1:
            split_sequence(model, run.processes)

    # 2. Data
    codec = LatentCodec(wan.vae, config.run.precision)
    source, description = source_of(config, run, wan)
    model = ControlledWan(wan.transformer, controlnet, empty_prompt(config, wan))

    # 3. Training
    step = CpcStep(model, HrLoss(config.loss), config.flow, config.run.seed, config.run.precision)

    def pictures(module: torch.nn.Module, batch: Batch) -> dict:
        latents = module(batch, "sample")
        if "hr" not in batch:  # another process of this row has the pixels
            return {}
        return {"lr": batch["lr_resized"], "output": codec.decode(latents), "hr": batch["hr"]}

    def measure(module: torch.nn.Module, batch: Batch) -> dict:
        latents, loss = module(batch, "validate")
        decoded, bicubic = (
            psnr((clip - batch["hr"]).square().mean(), 2)
            for clip in (codec.decode(latents).clamp(-1, 1), batch["lr_resized"])
        )
        return {"PSNR, dB": decoded, "gain over bicubic, dB": decoded - bicubic, "HR-Loss": loss}

    held_out = held_out_source(config, wan)
    validator = Validator(config.validation.every, len(held_out), held_out, measure) if held_out else None
    trained = fit(run, step, source, codec.encode, pictures, validator)
    export_parts(run, step, {export: controlnet}, trained, Card(description, config.model))
    run.accelerator.end_training()


def new_layers(config: ControlConfig, main_layers: int) -> int:
    """Return the number of blocks of a new control branch over a transformer of ``main_layers``.

    Raises:
        InputError: one of them would never be read.
    """
    layers = config.layers or default_control_layers(main_layers)
    block_interval(main_layers, layers)
    return layers


def control_branch(config: TrainCpcConfig, wan: "Wan", cpc: Path | None) -> "CpcControlNet":
    """Return what is trained, in float32: a copy of the first blocks of the frozen transformer, or the CPC in
    ``cpc``."""
    import torch

    from realis.models.cpc.controlnet import CpcControlNet
    from realis.models.wan.loading import load_controlnet
    from realis.ops.finite import check_weights

    if cpc:
        branch: Any = load_controlnet(cpc, torch.float32)  # diffusers hides from the type checker that to() is a method
        controlnet = branch.train().to(wan.device)
        check_weights(controlnet, part_folder(cpc, "controlnet"))
        controlnet.register_to_config(window=config.window)
        return controlnet
    c = config.controlnet
    return CpcControlNet.from_transformer(
        wan.transformer, new_layers(c, wan.transformer.config.num_layers), control_input=c.input,
        time_conditioned=c.time_conditioned, text_conditioned=c.text_conditioned, learn_scale=c.learn_scale,
        window=config.window, steps=c.steps, shift=c.shift, sampler=c.sampler, strength=c.strength,
    ).float()  # fmt: skip


def source_of(config: TrainCpcConfig, run: "Run", wan: "Wan") -> tuple["Source", str]:
    """Return where batches come from, and that in words.

    Raises:
        InputError: the footage cannot be used, or latents are missing.
    """
    from realis.data.clips import ClipSet
    from realis.data.description import RENDERED, describe_footage
    from realis.data.pairs import pair_pool
    from realis.training.precomputed import check_latents

    if not config.clips.manifest:
        return pair_pool(config.data, config.run.seed, wan.vae), RENDERED
    clips = ClipSet(config.clips, config.run.seed, run.samples_per_step, latent_size)
    if config.clips.latents:
        check_latents(clips, wan.vae)
    return clips, describe_footage(config.clips.manifest, len(clips.entries), config.clips.degradation)


def held_out_source(config: TrainCpcConfig, wan: "Wan") -> "HeldOutClips | HeldOutPairs | None":
    """Return the samples that the run is measured on; ``None`` where it is not.

    Raises:
        InputError: a clip of them cannot be used.
    """
    from realis.data.held_out import HeldOutClips
    from realis.data.pairs import held_out_pairs

    c = config.validation
    if not c.every:
        return None
    if config.clips.manifest and not c.manifest:
        logger.info("the run is not measured on the way: --validation.manifest names no footage for that")
        return None
    if c.manifest:
        return HeldOutClips(config.clips, c.manifest, c.samples)
    return held_out_pairs(config.data, c.samples, wan.vae)


def empty_prompt(config: TrainCpcConfig, wan: "Wan") -> "torch.Tensor":
    """Return the embedding of the empty prompt, (1, text tokens, text_dim): a cached one if there is, else by the
    encoder.

    Raises:
        InputError: cached for another text encoder.
    """
    from realis.data.caption_files import read_embedding
    from realis.models.wan.prompts import pad_prompt

    if not config.clips.embeddings:
        return wan.encode_prompts([""])[0]
    prompt = pad_prompt(read_embedding(config.clips.embeddings, "")[None]).to(wan.device, wan.dtype)
    width = wan.transformer.config.text_dim
    require(prompt.shape[-1] == width, "--clips.embeddings", f"a width of {prompt.shape[-1]}", f"{width}, the model's")
    return prompt
