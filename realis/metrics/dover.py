"""DOVER (Wu et al., ICCV 2023, arXiv 2211.04894), quality of a clip without a truth, by its authors' package ``dover``.

Which frames and fragments it sees, and its networks, are theirs, with the settings of their dover.yml; the package is not
for commercial use. What differs from evaluate_one_video.py:

* Its draws have a seed, so that a value can be had again.
* Frames come one by one, and only what is sampled of them is kept.
* Frames are resized without antialiasing. So torchvision did by default when the networks were trained; it smooths since
  0.17, which changes the aesthetic score.
"""

import io
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout

import numpy as np
import torch
from torchvision.transforms.functional import resize

from realis.core.errors import require
from realis.metrics.base import Moment, Network
from realis.ops.pixels import to_uint8

SEED = 42
CLIPS, LENGTH, STRIDE = 3, 32, 2  # of the technical branch; the aesthetic one sees LENGTH frames of the whole video
GRID, FRAGMENT = 7, 32  # fragments a side, and pixels of a side of each
SIDE = GRID * FRAGMENT  # of what both networks see
MEAN, STD = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])


def dover_network(tensors: Mapping[str, torch.Tensor], device: str) -> Network:
    """Return the two networks of DOVER.

    Args:
        tensors: of ``DOVER.pth``.
        device: where they compute.

    Returns:
        Views (3, 3, 32, 224, 224) of fragments and (1, 3, 32, 224, 224) of whole frames, normalised, -> (2,): the raw
        technical and aesthetic score.

    Raises:
        RuntimeError: the weights are of another network.
    """
    from dover.models import DOVER, VQAHead, convnext_3d_tiny  # pyright: ignore[reportMissingImports]

    head = {"in_channels": 768, "hidden_channels": 64}
    with redirect_stdout(io.StringIO()):
        # DOVER itself would download weights of ImageNet for its aesthetic branch, which are then replaced
        network = DOVER(
            backbone_preserve_keys="technical", backbone={"technical": {"type": "swin_tiny_grpb"}}, divide_head=True,
            vqa_head=head,
        )  # fmt: skip
        network.aesthetic_backbone, network.aesthetic_head = convnext_3d_tiny(), VQAHead(**head)
    network.load_state_dict(tensors)
    network.requires_grad_(False).to(device)

    def score(technical: torch.Tensor, aesthetic: torch.Tensor) -> torch.Tensor:
        return torch.stack([raw.mean() for raw in network({"technical": technical, "aesthetic": aesthetic})])

    return score


def fuse(technical: float, aesthetic: float) -> float:
    """Return the overall quality, from 0 to 100, by the raw scores: fuse_results of evaluate_one_video.py.

    The one in evaluate_a_set_of_videos.py takes them in the other order. Constants are the authors', the sign too.
    """
    total = 0.6104 * (technical - 0.1107) / 0.07355 + 0.3896 * (aesthetic + 0.08285) / 0.03774
    return float(100 / (1 + np.exp(-total)))


class DoverMeter:
    """DOVER of one clip, whose number of frames each moment tells."""

    def __init__(self) -> None:
        self._seen = self._total = 0
        self._technical: np.ndarray = np.empty(0, int)  # numbers of frames in the order in which the networks see them
        self._aesthetic: np.ndarray = np.empty(0, int)
        self._fragments: dict[tuple[int, int], torch.Tensor] = {}  # by the number of the clip and of the frame
        self._whole: dict[int, torch.Tensor] = {}
        self._network: Network | None = None

    def add(self, moment: Moment) -> None:
        if self._network is None:
            wanted = "a file that does: DOVER samples the clip; convert it to .mp4, or to a folder of images"
            require(moment.total > 0, "DOVER", "a file that does not say how many frames it has", wanted)
            self._network, self._total = moment.tools.networks["dover"], moment.total
            self._technical, self._aesthetic = sample_frames(moment.total)
        frame = to_uint8(moment.frame("restored")).cpu()  # where the means are that it is normalised by
        for clip, numbers in enumerate(np.split(self._technical, CLIPS)):
            if self._seen in numbers:
                self._fragments[clip, self._seen] = fragments(frame)[:, clip]
        if self._seen in self._aesthetic:
            self._whole[self._seen] = resize(frame, [SIDE, SIDE], antialias=False)
        self._seen += 1

    def values(self) -> np.ndarray:
        require(
            self._seen == self._total, "DOVER", f"{self._seen} frames", f"{self._total}, as the clip was said to have"
        )
        assert self._network is not None
        clips = [
            torch.stack([self._fragments[clip, number] for number in numbers])
            for clip, numbers in enumerate(np.split(self._technical, CLIPS))
        ]
        whole = torch.stack([self._whole[number] for number in self._aesthetic])
        return np.array([fuse(*self._network(_normalise(torch.stack(clips)), _normalise(whole[None])).tolist())])

    def close(self) -> None: ...


def sample_frames(total: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw which frames of a clip of ``total`` the technical branch sees, (96,), and the aesthetic one, (32,)."""
    with _draws():
        from dover.datasets import UnifiedFrameSampler  # pyright: ignore[reportMissingImports]

        technical, aesthetic = UnifiedFrameSampler(LENGTH, CLIPS, STRIDE), UnifiedFrameSampler(1, LENGTH, STRIDE)
        return technical(total), aesthetic(total)


def fragments(frame: torch.Tensor) -> torch.Tensor:
    """Draw fragments of a frame (3, H, W) uint8 for each clip: (3, clips, 224, 224) uint8.

    They are at the same places in all frames of a clip: those that get_spatial_fragments draws for the clips as a whole.
    """
    with _draws():
        from dover.datasets import get_spatial_fragments  # pyright: ignore[reportMissingImports]

        views = get_spatial_fragments(
            frame[:, None].expand(-1, CLIPS, -1, -1), GRID, GRID, FRAGMENT, FRAGMENT, aligned=1
        )
        return views.byte()


@contextmanager
def _draws() -> Iterator[None]:
    """Start the generators that ``dover`` draws from at the seed, and leave them as they were; its import seeds one too."""
    before, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        np.random.seed(SEED)
        torch.manual_seed(SEED)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(of_numpy)


def _normalise(views: torch.Tensor) -> torch.Tensor:
    """Convert (N, F, 3, H, W) uint8 to (N, 3, F, H, W), as the networks were trained."""
    return ((views.movedim(2, -1) - MEAN) / STD).movedim(-1, 1)
