"""What ``upscale`` will do, known before torch is imported: size, encoding, segments, tiles; and what it will take."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from realis.models.hub import check_parts, model_folder
from realis.tiling.plan import plan_tiles
from realis.upscaler import FRAME_BY_FRAME, Segments, Tiling
from realis.video.encoding import Encoding, choose_encoding
from realis.video.source import Look, Source
from realis.video.target import target_size

if TYPE_CHECKING:
    from realis.commands.upscale import UpscaleConfig

ASPECT_ERROR = 0.01  # of a size that was rounded to even numbers


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Args:
        folder: of the model.
        cpc: folder of another CPC, or ``None``.
        size: height and width of the result.
        pixel_aspect: width over height of its pixels: not 1 where the size asked for would distort the picture.
        encoding: of the result.
        segments: how time is cut.
        tiles: how frames are cut.
        frames: how many there are; ``None``: not known.
    """

    folder: Path
    cpc: Path | None
    size: tuple[int, int]
    pixel_aspect: Fraction
    encoding: Encoding
    segments: Segments
    tiles: Tiling
    frames: int | None = None

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile."""
        tile = next(iter(self.tiles))
        return tile.bottom - tile.top, tile.right - tile.left


def make_plan(config: "UpscaleConfig", look: Look, output: Path) -> Plan:
    """Find the model's files; check that they fit each other, and that sizes, tiles and encoding fit them.

    Raises:
        InputError: something does not.
    """
    encoding = choose_encoding(output, config.codec, config.depth, config.crf, look, config.drop_alpha)
    height, width = look.shown
    size = target_size(config.target, width, height, even=not encoding.is_rgb)
    encoding.check_size(size)
    aspect = Fraction(width * size[0], height * size[1])
    distorts = abs(aspect - 1) > ASPECT_ERROR + 2 / min(size)
    shape = (size, aspect.limit_denominator(1000) if distorts else Fraction(1), encoding)
    if config.method == "bicubic":
        return Plan(Path(), None, *shape, FRAME_BY_FRAME, plan_tiles(size, None, 0, 1))
    embedded = config.prompt_embeds or config.empty_prompt_embeds
    needs_text = bool(config.prompt or config.negative_prompt) or not embedded
    folder = model_folder(config.model, text_encoder=needs_text)
    cpc = model_folder(config.cpc, text_encoder=False) if config.cpc else None
    frames, tile_height, tile_width = check_parts(folder, cpc, config.decoder)["window"]
    segments = Segments(config.segment_frames or frames, config.segment_overlap, period=4)
    tile = (config.tile_height or tile_height, config.tile_width or tile_width)
    return Plan(folder, cpc, *shape, segments, plan_tiles(size, tile, config.tile_overlap, 16))


def describe(config: "UpscaleConfig", source: Source, plan: Plan) -> str:
    """The plan in one line: sizes, encoding, segments, tiles, memory."""
    s, size, count = plan.segments, plan.size, plan.frames
    segments = s.count(count) if count else "?"
    held = min(s.frames, count or s.frames) + s.overlap
    height, width = source.look.size
    gibibytes = held * 3 * 4 * (2 * size[0] * size[1] + width * height) / 2**30
    return (
        f"plan: {width}x{height} -> {size[1]}x{size[0]}, frames: {count or '?'} at {float(source.rate):.3f}/s; "
        f"{config.method}, {plan.encoding.codec} of {plan.encoding.depth} bits, segments: {segments} of {s.frames} "
        f"frames, tiles: {len(plan.tiles)} of {plan.tile[1]}x{plan.tile[0]}; "
        f"frames held in memory: about {gibibytes:.1f} GiB{model_memory(config, plan)}"
    )


def model_memory(config: "UpscaleConfig", plan: Plan) -> str:
    """What the model takes besides, by the size of its files, in words."""
    if config.method == "bicubic":
        return ""
    files = {file for folder in (plan.folder, plan.cpc) if folder for file in folder.rglob("*.safetensors")}
    where = "" if config.device == "cpu" else ", in GPU memory where there is a GPU"
    return f", the model: about {sum(file.stat().st_size for file in files) / 2**30:.1f} GiB{where}"
