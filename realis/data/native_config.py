"""What pairs at their native sizes are like, for models that enlarge the LR themselves. No torch."""

from dataclasses import dataclass

from realis.core.errors import InputError, require
from realis.data.clips_config import ClipsConfig
from realis.data.manifest import read_held_out, read_manifest
from realis.data.pairs_config import PairsConfig
from realis.degradation.presets import load_degradation

MULTIPLE = 8  # of the sides of an LR crop
OF_FOOTAGE, OF_RENDERED = ("workers", "max_corrupt"), ("count", "cache")  # fields that only one of the two reads


@dataclass(frozen=True)
class NativeDataConfig:
    """Clips of a few frames, cut out of footage or rendered from photographs, beside their degraded LR."""

    manifest: str = ""  # as --clips.manifest of train_cpc, such as a folder of REDS; empty: rendered from photographs
    frames: int = 5  # of a clip
    crop: int = 64  # pixels of a side of the LR, a multiple of 8; the HR crop is larger by the method's scale
    degradation: str = "bi"  # a preset (realbasicvsr, real_esrgan, light, bi, bd), or a YAML file of ranges
    flip: float = 0.5  # share of samples that are mirrored left to right
    count: int = 500  # pairs that are rendered
    cache: str = "out/pairs"  # folder where finished pairs are kept; empty: nowhere
    workers: int = 6  # processes that read footage, for each GPU, at most one a core; 0: in the training process
    max_corrupt: float = 0.05  # share of clips that may be unreadable before training stops

    def __post_init__(self) -> None:
        require(self.frames >= 1, "--data.frames", self.frames, "at least 1")
        fits = self.crop >= MULTIPLE and self.crop % MULTIPLE == 0
        require(fits, "--data.crop", self.crop, f"a multiple of {MULTIPLE}, such as 64")
        load_degradation(self.degradation)
        require(0 <= self.flip <= 1, "--data.flip", self.flip, "0 to 1")
        require(self.count >= 1, "--data.count", self.count, "at least 1")
        require(self.workers >= 0, "--data.workers", self.workers, "0 or more")
        require(0 <= self.max_corrupt <= 1, "--data.max-corrupt", self.max_corrupt, "0 to 1")
        changed = [name for name in (*OF_FOOTAGE, *OF_RENDERED) if getattr(self, name) != getattr(type(self), name)]
        for name in changed:
            flag = f"--data.{name.replace('_', '-')}"
            if self.manifest and name in OF_RENDERED:
                raise InputError(
                    f"{flag} with --data.manifest: it is for a run that renders clips; leave one of them out"
                )
            if not self.manifest and name in OF_FOOTAGE:
                raise InputError(f"{flag} without --data.manifest: it is for a run that reads footage; leave it out")

    def clips(self, scale: int) -> ClipsConfig:
        """How footage is cut, whose LR is ``scale`` times as small."""
        side = scale * self.crop
        return ClipsConfig(
            self.manifest, self.frames, (f"{side}x{side}",), scale, self.degradation,
            flip=self.flip, workers=self.workers, max_corrupt=self.max_corrupt,
        )  # fmt: skip

    def pairs(self, scale: int) -> PairsConfig:
        """How pairs are rendered, whose LR is ``scale`` times as small."""
        return PairsConfig(self.count, self.frames, scale * self.crop, (scale,), self.cache, (self.degradation,))


def check_native_footage(config: NativeDataConfig, held_out: str) -> None:
    """Check the manifests of a run, before a model is looked for.

    Args:
        held_out: the manifest of the clips that the run is measured on; may be empty.

    Raises:
        InputError: one of them cannot be used; or they name the same file; or there is one of held-out clips alone.
    """
    if held_out and not config.manifest:
        raise InputError("--validation.manifest without --data.manifest: clips from photographs are measured on others "
                         "of those; leave it out")  # fmt: skip
    if config.manifest:
        entries = read_manifest(config.manifest, "--data.manifest")
        if held_out:
            read_held_out(held_out, entries)
