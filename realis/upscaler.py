"""The protocol of an upscaling method: segments of whole frames in, the same frames enlarged out.

The stream (:mod:`realis.upscaling.stream`) cuts a video into segments; the method only sees one segment at a time, and
works through the tiles of its frames. So reading, writing, resuming, audio, colour and evaluation are the same for all
methods.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from realis.core.errors import InputError

if TYPE_CHECKING:
    import torch

Carry = dict[str, "torch.Tensor"]  # state that a method hands from one segment to the next
Advance = Callable[[float], None]  # called with the share of the work that was just done; shares sum to 1
# When the tiles of latents are blended: at every sampling step; so, and moved at every other step; or after the last step
TileSampling = Literal["fused", "shifted", "independent"]
# Where what the steps of a tile share stays while tiles are fused; auto: on the device if it has room, else in main memory
TileCache = Literal["auto", "device", "host", "none"]


@dataclass(frozen=True)
class Segments:
    """How a video is cut into segments for a method.

    Args:
        frames: number of frames in a segment.
        overlap: frames that a segment shares with the one before.
        period: segments have ``period n + 1`` frames (4 for Wan's VAE; 1: any number), and those of one shot start at
            multiples of it from the first frame of the shot.
        blend: whether the two results of shared frames are blended; if not, the later one counts, and the frames at the end
            of a segment are there for the method to look ahead.
        independent: whether no frame depends on another, so that it does not matter where segments end.

    Raises:
        InputError: the three contradict each other.
    """

    frames: int
    overlap: int = 0
    period: int = 1
    blend: bool = True
    independent: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.frames:
            raise InputError(f"got an overlap of {self.overlap} of {self.frames} frames, wanted 0 to {self.frames - 1}")
        if self.period > 1 and (self.frames % self.period != 1 or (self.frames - self.overlap) % self.period):
            raise InputError(
                f"got {self.frames} frames with an overlap of {self.overlap}, wanted both of the form "
                f"{self.period} n + 1, such as {self.period * 4 + 1} and {self.period + 1}"
            )

    def padded(self, frames: int) -> int:
        """Round ``frames`` up to the next length that a segment may have: ``period n + 1``."""
        return frames + -(frames - 1) % self.period

    def count(self, frames: int) -> int:
        """Return the number of segments of a video of ``frames`` frames."""
        return max(1, -(-(frames - self.overlap) // (self.frames - self.overlap)))


@dataclass(frozen=True)
class NoiseGrid:
    """The latent grid over which a method draws its noise.

    Args:
        channels: channels of a latent.
        frames: video frames per latent frame; 0: one field serves the whole video.
        pixels: pixels of the result per latent cell, along each side.
    """

    channels: int
    frames: int
    pixels: int

    def fields(self, frames: int) -> int:
        """Return how many latent frames a segment of ``frames`` video frames has."""
        return -(-frames // self.frames) if self.frames else 1


@dataclass(frozen=True)
class Needs:
    """What a method requires of segments, tiles and its input, known before any of the work.

    Args:
        segments: how the video is cut.
        scales: the scale factors that it supports; the stream resizes its result to the size asked for. ``None``: it
            makes any size itself.
        trained_scale: the largest scale factor that its weights were trained for.
        tile: height and width of its tiles, in pixels of its output; ``None``: whole frames.
        tile_turns: whether tiles are turned by 90 degrees for frames that are higher than wide.
        tile_exact: whether tiles are just that large, as it was trained on that size; otherwise no larger.
        tile_overlap: pixels that tiles share at least.
        tile_context: pixels that it sees around a tile besides, where the frame has them.
        tile_shift: whether tiles are moved at every other sampling step.
        tile_values: values that a tile keeps for each of its latent cells while all tiles of a segment are sampled together;
            0 if they are not, or it keeps none.
        multiple: the sides of a tile, or of a whole frame, must be multiples of it.
        noise: the grid of its noise; ``None``: it draws none.
        text: whether it reads a prompt.
        weights: the files and folders that the result depends on, by the field of its configuration that names each.
        parts: of a folder among them, what in it is read; of one that is not named here, all.
        dtypes: names of the dtypes of those parts that ``--dtype`` does not decide, by the folder of their weights.
        settings: by field of its configuration, the values it chose where the user left the choice to it, such as for
            ``steps`` of 0.
        strength: how much of its result is taken over the resized input where the user leaves the choice to it, 0 to 1.
        sampling: these settings in words, for the plan; empty: nothing to say.
        label: a short name of its weights, for headings.
        less_memory: its flags that reduce memory, for an error message; empty: it has none.
        remarks: advice on other settings that would probably give better results.
    """

    segments: Segments
    scales: tuple[int, ...] | None = None
    trained_scale: int | None = None
    tile: tuple[int, int] | None = None
    tile_turns: bool = False
    tile_exact: bool = False
    tile_overlap: int = 0
    tile_context: int = 0
    tile_shift: bool = False
    tile_values: int = 0
    multiple: int = 1
    noise: NoiseGrid | None = None
    text: bool = False
    weights: Mapping[str, Path] = field(default_factory=dict)
    parts: Mapping[Path, Sequence[str]] = field(default_factory=dict)
    dtypes: Mapping[Path, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    strength: float = 1.0
    sampling: str = ""
    label: str = ""
    less_memory: str = ""
    remarks: Sequence[str] = ()

    @property
    def is_network(self) -> bool:
        """Whether weights or noise make its result, which then depends on settings of networks."""
        return bool(self.weights or self.noise)

    def kept_values(self, tiles: "Iterable[Tile]", latent_frames: int) -> int:
        """Return how many values ``tiles`` of a segment keep while they are sampled together."""
        if not self.noise:
            return 0
        area = sum((tile.bottom - tile.top) * (tile.right - tile.left) for tile in set(tiles))
        return self.tile_values * latent_frames * area // self.noise.pixels**2

    def native_size(self, lr: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that the method itself makes of frames of size ``lr`` when ``size`` is asked for: by
        the smallest of its scales that is large enough, or else by the largest."""
        if self.scales is None:
            return size
        factor = max(size[0] / lr[0], size[1] / lr[1])
        scale = min((scale for scale in self.scales if scale >= factor), default=max(self.scales))
        return lr[0] * scale, lr[1] * scale


@dataclass(frozen=True)
class Tile:
    """A window of the output canvas in pixels: rows ``top:bottom``, columns ``left:right``."""

    top: int
    bottom: int
    left: int
    right: int

    def enlarged(self, scale: int) -> "Tile":
        """Return the same window of a canvas ``scale`` times as large."""
        return Tile(*(scale * side for side in (self.top, self.bottom, self.left, self.right)))

    def of(self, canvas: "torch.Tensor") -> "torch.Tensor":
        """Return this window of ``canvas`` (..., height, width)."""
        return canvas[..., self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Tiling:
    """The tiles of a canvas: every pair of a row span and a column span ``(start, stop)``.

    The canvas may be larger than the frame, to be a multiple of what the method requires; the excess is cropped at the end.
    """

    rows: Sequence[tuple[int, int]]
    columns: Sequence[tuple[int, int]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        return self.rows[-1][1], self.columns[-1][1]

    def in_cells(self, pixels: int) -> "Tiling":
        """Return the same tiles in cells of ``pixels`` a side."""
        rows, columns = ([(a // pixels, b // pixels) for a, b in spans] for spans in (self.rows, self.columns))
        return Tiling(rows, columns)

    def __iter__(self) -> Iterator[Tile]:
        return (Tile(*row, *column) for row in self.rows for column in self.columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True)
class Placement:
    """Where and in which precision the networks of a method are kept and run.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        dtype: name of the torch dtype of the weights.
        offload: keep weights in main memory, and move them to the device layer by layer.
        fp8: keep weights in 8 bits.
        attention: attention backend of diffusers; empty: torch's choice.
        compile: use ``torch.compile``.
    """

    device: str = "cpu"
    dtype: str = "float32"
    offload: bool = False
    fp8: bool = False
    attention: str = ""
    compile: bool = False

    def refuse(self, *settings: str, method: str) -> None:
        """Make sure that none of ``settings``, names of the fields, is on, as ``method`` would do nothing about it.

        Raises:
            InputError: one of them is.
        """
        for setting in settings:
            if getattr(self, setting):
                raise InputError(f"--{setting}: --method {method} does not use it; leave it out")


class Upscaler(Protocol):
    """A video super-resolution method with its weights."""

    @property
    def needs(self) -> Needs: ...

    def upscale(
        self,
        frames: "torch.Tensor",
        size: tuple[int, int],
        *,
        tiles: Tiling,
        noise: "Iterator[torch.Tensor] | None",
        carry: Carry,
        prompt: str,
        advance: Callable[[float], None],
    ) -> "tuple[torch.Tensor, Carry]":
        """Upscale one segment.

        Args:
            frames: (F, 3, H, W) float32 in [0, 1].
            size: height and width of the result.
            tiles: how its canvas is cut; the canvas is at least ``size``.
            noise: gives noise of this segment over the canvas as often as it is asked, (channels, latent frames, h, w)
                float32 on the CPU; ``None`` for a method that needs none.
            carry: what the call for the previous segment returned; empty at the start.
            prompt: what the video shows, one of those that the method was loaded with; may be empty.
            advance: called with the share of the segment's work that was just done; shares sum to 1.

        Returns:
            (F, 3, *size) float32 in [0, 1], and the ``carry`` of the next call.
        """
        ...


class MethodConfig(Protocol):
    """The flags of a method: a frozen dataclass.

    Attributes:
        PREFIX: its flags are ``--PREFIX.flag``, or ``--flag`` if it is empty.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    PREFIX: ClassVar[str]


Options = TypeVar("Options", bound=MethodConfig)


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that its authors published.

    Args:
        name: as it is published.
        trained_for: what it was trained on, and for which degradation.
        origin: where it is, and the command that gets it.
        licence: its SPDX identifier, or where its terms stand.
        sha256: of its content, in hexadecimal; empty: nobody has had the file to compute it.
    """

    name: str
    trained_for: str
    origin: str
    licence: str
    sha256: str = ""


@dataclass(frozen=True)
class MethodCard:
    """What people should know to choose a method: ``realis methods`` and docs/methods.md are made from it.

    Args:
        summary: what it is, in one sentence, with its paper.
        good_at: where it is worth using.
        bad_at: where it is not.
        scale: the scale factors that it makes.
        memory: what it takes, and for which size.
        use: the flags that choose it and its weights.
        weights: the files that fit it.
    """

    summary: str
    good_at: str
    bad_at: str
    scale: str
    memory: str
    use: str
    weights: Sequence[WeightsFile] = ()


class Method(Protocol[Options]):
    """A method: what it needs, and how it is loaded. Importing one must not import torch.

    Attributes:
        Config: the class of its flags.
        card: what people should know of it.
    """

    Config: type[Options]
    card: MethodCard

    def needs(self, config: Options, prompted: bool) -> Needs:
        """Find the files of the method, and return what it needs; without loading weights, unless they alone tell it.

        Args:
            config: its flags.
            prompted: whether there is a prompt.

        Raises:
            InputError: a file is missing or damaged, or the files do not fit each other or the flags.
        """
        ...

    def load(self, config: Options, placement: Placement, prompts: Sequence[str]) -> Upscaler:
        """Load the weights of the method.

        Args:
            config: its flags.
            placement: where its networks go.
            prompts: every prompt that ``upscale`` will be called with; the empty one where a video has none.

        Raises:
            InputError: the weights cannot be loaded.
        """
        ...
