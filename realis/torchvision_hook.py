"""Lets a torchvision built for CUDA be imported beside a CPU-only torch.

Such a pair is what package registries hand out on machines without a GPU. torchvision's compiled library then cannot
load, its operators are never defined, and ``import torchvision`` dies with "operator torchvision::nms does not
exist" - and with it every import of diffusers and transformers, which try torchvision when they find it installed.
Declaring the operators first is enough for all that is Python in torchvision (transforms, models such as RAFT);
calling one of the declared operators still raises.

A room whose files import diffusers, transformers or another library that imports torchvision installs the hook in its
``__init__.py``, which Python runs before any of these files, also in worker processes.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

_BOX = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_BOX_GRAD = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask"
)
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"qroi_align({_BOX}, SymInt sampling_ratio, bool aligned) -> Tensor",
    f"roi_align({_BOX}, SymInt sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward({_BOX.replace('input', 'grad')}, {_BOX_GRAD}, SymInt sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({_BOX}) -> (Tensor, Tensor)",
    f"_roi_pool_backward({_BOX.replace('input', 'grad').replace('rois,', 'rois, Tensor argmax,')}, {_BOX_GRAD}) -> Tensor",
    f"ps_roi_align({_BOX}, SymInt sampling_ratio) -> (Tensor, Tensor)",
    "_ps_roi_align_backward("
    + _BOX.replace("input", "grad").replace("rois,", "rois, Tensor channel_mapping,")
    + f", SymInt sampling_ratio, {_BOX_GRAD}) -> Tensor",
    f"ps_roi_pool({_BOX}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward({_BOX.replace('input', 'grad').replace('rois,', 'rois, Tensor channel_mapping,')}, {_BOX_GRAD}) -> Tensor",
    f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {_DEFORM}) -> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
    f"{_DEFORM}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


class TorchvisionFinder(MetaPathFinder):
    """Finds nothing itself; declares the operators just before torchvision is first found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            declare_operators()
        return None


def install() -> None:
    """Put the finder in place unless it is; costs nothing until torchvision is looked for."""
    waiting = any(isinstance(finder, TorchvisionFinder) for finder in sys.meta_path)
    if not waiting and "torchvision" not in sys.modules:
        sys.meta_path.insert(0, TorchvisionFinder())


@cache  # several rooms install the finder, and each may find torchvision looked for but not imported yet
def declare_operators() -> object:
    """Declare torchvision's operators if its compiled library cannot load beside this torch.

    Returns:
        What keeps the declarations alive; ``None`` if there are none.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    if torch.version.cuda or spec is None or spec.origin is None:
        return None
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)  # what torchvision does itself; fine if it works
            return None
    except OSError:
        pass
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in OPERATORS:
        library.define(operator)
    return library
