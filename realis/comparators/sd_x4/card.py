"""What people should know to choose the Stable Diffusion x4 upscaler."""

from realis.upscaler import MethodCard, WeightsFile

CARD = MethodCard(
    summary="The Stable Diffusion x4 upscaler (arXiv 2112.10752), frame by frame: the single-image baseline of StableVSR.",
    good_at="single images; and as the baseline that StableVSR and DGAF-VSR are measured against",
    bad_at="steady pictures over time (no flicker), as no frame knows of another; and speed: 50 steps of 473M parameters (sd-x4-tiny: 1 of 1.4M)",
    scale="4; other sizes are resized from that",
    memory="for a result of 3840x2160, a frame at a time: 3.0 GiB by networks of the public sizes; 0.2 GiB more a frame; sd-x4-tiny, 8 frames at a time: 3.0 GiB",
    use="--method sd_x4 [--sd-x4.model stabilityai/stable-diffusion-x4-upscaler]",
    weights=(
        WeightsFile(
            "stabilityai/stable-diffusion-x4-upscaler",
            "photographs of LAION of 2048 pixels and more, crops of 512; reads a prompt and a noise level",
            "the Hugging Face hub, by this name in --sd-x4.model",
            "CreativeML OpenRAIL++-M",
        ),
        WeightsFile(
            "claudiom4sir/StableVSR",
            "StableVSR: its UNet and VAE, trained without noise levels: add --sd-x4.noise-level off, as it is not known whether "
            "its configuration says so; used with the empty prompt",
            "the Hugging Face hub, by this name in --sd-x4.model",
            "on its page",
        ),
    ),
)
