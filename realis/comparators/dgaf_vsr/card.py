"""What people should know to choose DGAF-VSR."""

from realis.upscaler import MethodCard

CARD = MethodCard(
    summary="DGAF-VSR (CVPR 2026): the Stable Diffusion x4 upscaler, whose features are guided by the latents of a neighbour, "
    "aligned by optical flow.",
    good_at="rich texture that stays in place, in short clean clips that were made small; cheaper a step than StableVSR, as no "
    "picture is decoded before the end",
    bad_at="speed: 50 steps of two networks, of 472M and 484M parameters, for each frame; noise and compression, which it was not trained on",
    scale="4, or 8 and 16 by --dgaf-vsr.scale; other sizes are resized from these",
    memory="for a result of 3840x2160 by the small networks, 2 frames at a time: 1.9 GiB; networks of the public sizes have not been measured",
    use="--method dgaf_vsr [--dgaf-vsr.model FOLDER --dgaf-vsr.guiding-unet FOLDER]",
)
