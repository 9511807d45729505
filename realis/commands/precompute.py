"""``precompute``: compute once what the runs of a training recipe would compute again and again."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from realis.commands.train_cpc import TrainCpcConfig, captions_read
from realis.core.errors import InputError
from realis.data.clips_config import CAPTION_DROPOUT
from realis.models.hub import check_base, has_text_encoder, model_folder
from realis.training.run_folder import held_alone


@dataclass(frozen=True)
class PrecomputeConfig(TrainCpcConfig):
    """Compute once what the runs of a training recipe read: with the recipe's own flags, of which these matter: --model,
    --clips.manifest, --validation.manifest, and the folders to fill, --clips.embeddings (of captions, by the text encoder)
    and --clips.latents (of one fixed crop a clip and bucket, by the VAE; they also depend on --clips.frames,
    --clips.buckets, --run.seed and whether --clips.degradation sharpens)."""


def precompute(config: PrecomputeConfig) -> None:
    """Write what a recipe reads: caption embeddings (``--clips.embeddings``), HR latents of fixed crops
    (``--clips.latents``), or both. What is there already is kept, so that a run that was stopped goes on.

    Raises:
        InputError: the recipe names neither, or a folder that cannot be written.
    """
    clips = config.clips
    if not (clips.embeddings or clips.latents):
        raise InputError(
            "nothing to compute: wanted --clips.manifest with --clips.embeddings or --clips.latents, the folders to fill "
            "(a training recipe may have them)"
        )
    captions = captions_read(config)
    folder = model_folder(config.model, text_encoder=bool(clips.embeddings))
    check_base(folder)
    if clips.embeddings and not has_text_encoder(folder):
        raise InputError(
            f"--clips.embeddings: {config.model} knows no text, so there is nothing to embed; leave it out"
        )
    filled = {"--clips.embeddings": clips.embeddings, "--clips.latents": clips.latents}
    flags = {Path(name).resolve(): flag for flag, name in filled.items() if name}  # may be one folder
    with ExitStack() as held:
        for place, flag in flags.items():
            held.enter_context(held_alone(place, flag))
        _precompute(config, folder, captions)


def _precompute(config: PrecomputeConfig, folder: Path, captions: list[str]) -> None:
    import torch

    from realis.data.clips import ClipSet
    from realis.models.wan.loading import Wan
    from realis.training.latents import LatentCodec
    from realis.training.precomputed import embed_captions, encode_crops
    from realis.training.run import start_run

    run, clips = start_run(config), config.clips
    wan = Wan(folder, torch.bfloat16, torch.float32, run.accelerator.device)
    if clips.embeddings:
        embed_captions(run, wan, captions, clips.embeddings)
    if clips.latents:
        without_text = replace(clips, embeddings="", caption_dropout=CAPTION_DROPOUT)
        crops = ClipSet(without_text, config.run.seed, run.samples_per_step)
        encode_crops(run, crops, LatentCodec(wan.vae, config.run.precision))
    run.accelerator.end_training()
