"""The one training loop: batches by global sample number, accumulation, schedule, averages, curves, checkpoints."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from PIL import Image
from torch import nn

from realis.log import progress
from realis.training.checkpoints import restore, save, trainable
from realis.training.pairs import Batch, PairPool
from realis.training.run_folder import find_checkpoint
from realis.training.settings import LoopConfig, OptimizerConfig


def make_accelerator(config: LoopConfig) -> Accelerator:
    """Accelerator of a run, with TensorBoard curves in ``output/tensorboard``."""
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # denormals make CPU training several times slower
    set_seed(config.seed)  # initial weights; everything after is drawn by sample number
    return Accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_steps=config.accumulation,
        log_with="tensorboard",
        project_dir=config.output,
        step_scheduler_with_optimizer=False,
    )


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Share of the full rate at optimizer step ``step`` of ``steps``: linear warm-up, then linear to ``final_lr``."""
    warmup = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return warmup * (1 - (1 - config.final_lr) * step / steps)


def sample_numbers(step: int, micro: int, rank: int, world: int, config: LoopConfig) -> range:
    """Global numbers of the samples of one forward pass: the same set a step for any split into passes and ranks."""
    first = ((step * config.accumulation + micro) * world + rank) * config.batch
    return range(first, first + config.batch)


def fit(
    accelerator: Accelerator,
    step_module: nn.Module,
    pool: PairPool,
    optimizer_config: OptimizerConfig,
    config: LoopConfig,
    pictures: Callable[[Batch], Batch] | None = None,
) -> None:
    """Train what requires gradients in ``step_module``; at the end it holds the weights to export (averaged if asked).

    Args:
        accelerator: from :func:`make_accelerator`.
        step_module: batch -> dict of scalars with ``loss``.
        pool: where batches come from.
        pictures: batch -> clips (B, 3, F, H, W) in [-1, 1] by name, to look at while it trains.

    Raises:
        InputError: ``resume`` names no checkpoint of this run.
        FloatingPointError: the loss is not finite; the message names the step.
    """
    # 1. Optimizer, schedule, average, resume
    parameters = list(trainable(step_module).values())
    c = optimizer_config
    optimizer = torch.optim.AdamW(parameters, lr=c.lr, betas=c.betas, weight_decay=c.weight_decay)
    average = [p.detach().clone().to(accelerator.device) for p in parameters] if c.ema else []
    module, optimizer = accelerator.prepare(step_module, optimizer)
    found = find_checkpoint(config)
    start = restore(found, step_module, average, optimizer) if found else 0
    if accelerator.is_main_process:
        accelerator.init_trackers("tensorboard")

    # 2. Steps
    bar = progress(range(start, config.steps), total=config.steps, unit="step", initial=start)
    for step in bar:
        rate = c.lr * learning_rate(step, config.steps, c)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batches = [to_device(batch, accelerator) for batch in step_batches(accelerator, pool, step, config)]
        losses, norm = optimizer_step(accelerator, module, optimizer, batches, c.clip)
        if not math.isfinite(losses["loss"]):
            samples = [int(number) for batch in batches for number in batch["number"]]
            raise FloatingPointError(f"the loss is {losses['loss']} at step {step}, samples {samples}")
        update_average(average, parameters, c.ema, step)

        # 3. Curves, pictures, checkpoints
        done, is_last = step + 1, step + 1 == config.steps
        if done % config.log_every == 0 or is_last:
            accelerator.log(losses | {"gradient norm": norm, "learning rate": rate}, step=done)
            bar.set_postfix({name: f"{value:.4f}" for name, value in losses.items()})
        if accelerator.is_main_process and pictures and config.sample_every and done % config.sample_every == 0:
            with torch.no_grad(), accelerator.autocast():
                log_pictures(accelerator, pictures(batches[-1]), Path(config.output), done)
        if accelerator.is_main_process and (done % config.save_every == 0 or is_last):
            save(Path(config.output), config.keep, done, step_module, average, optimizer)
    with torch.no_grad():
        for p, mean in zip(parameters, average, strict=bool(average)):
            p.copy_(mean)


def step_batches(accelerator: Accelerator, pool: PairPool, step: int, config: LoopConfig) -> Iterator[Batch]:
    """The batches of one optimizer step on this process."""
    for micro in range(config.accumulation):
        numbers = sample_numbers(step, micro, accelerator.process_index, accelerator.num_processes, config)
        yield pool.batch(config.seed, numbers)


def optimizer_step(
    accelerator: Accelerator, module: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Batch], clip: float
) -> tuple[dict[str, float], float]:
    """Forward and backward over ``batches``, then one clipped step; the last losses and the gradient norm."""
    losses, norm = {}, torch.zeros(())
    for batch in batches:
        with accelerator.accumulate(module):
            losses = module(batch)
            accelerator.backward(losses["loss"])
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return {name: float(value.detach()) for name, value in losses.items()}, float(norm)


def to_device(batch: Batch, accelerator: Accelerator) -> Batch:
    """The batch on the accelerator's device; ``number`` stays on CPU, where random draws are made."""
    return {name: x if name == "number" else x.to(accelerator.device) for name, x in batch.items()}


@torch.no_grad()
def update_average(average: list[torch.Tensor], parameters: list[nn.Parameter], decay: float, step: int) -> None:
    """Exponential moving average of the weights, faster in the first steps."""
    if average:
        torch._foreach_lerp_(average, parameters, 1 - min(decay, (step + 1) / (step + 11)))


def log_pictures(accelerator: Accelerator, pictures: Batch, folder: Path, step: int) -> None:
    """First frames of four clips, side by side: to TensorBoard and to ``samples/step-000500.png``."""
    row = torch.cat([clip[:4, :, 0].float() for clip in pictures.values()], dim=3)
    sheet = ((torch.cat(list(row), dim=1) + 1) / 2).clamp(0, 1).mul(255).byte().permute(1, 2, 0).cpu().numpy()
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(folder / "samples" / f"step-{step:06d}.png")
    accelerator.get_tracker("tensorboard").log_images(
        {" | ".join(pictures): sheet[None]}, step=step, dataformats="NHWC"
    )
