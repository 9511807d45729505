"""What people should know to choose StableVSR."""

from realis.upscaler import MethodCard, WeightsFile

CARD = MethodCard(
    summary="StableVSR (arXiv 2311.15908): the Stable Diffusion x4 upscaler, whose frames are guided by the texture of their "
    "neighbours, moved by optical flow.",
    good_at="rich texture that stays in place, in short clean clips that were made small",
    bad_at="speed: 50 steps of 681M parameters for each frame, one after the other, with a decoding in each; noise and "
    "compression, which it was not trained on",
    scale="4; other sizes are resized from that",
    memory="for a result of 3840x2160 by the small networks, 2 frames at a time: 1.8 GiB; networks of the public sizes have not been measured",
    use="--method stablevsr [--stablevsr.model claudiom4sir/StableVSR --stablevsr.noise-level off --stablevsr.warp-grid "
    "stablevsr --stablevsr.flow-weights RAFT]",
    weights=(
        WeightsFile(
            "claudiom4sir/StableVSR",
            "REDS, bicubic downscaling; whole: upscaler and module; without noise levels and with its own warp: --stablevsr.noise-level "
            "off --stablevsr.warp-grid stablevsr; flow by RAFT",
            "the Hugging Face hub, by this name in --stablevsr.model",
            "on its page",
        ),
    ),
)
