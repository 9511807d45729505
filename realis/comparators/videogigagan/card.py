"""What people should know to choose VideoGigaGAN."""

from realis.upscaler import MethodCard

CARD = MethodCard(
    summary="VideoGigaGAN (arXiv 2404.12388): a GAN that enlarges clips in a single pass, with features that follow optical flow "
    "in both directions.",
    good_at="speed beside diffusion models: one pass of the network, no steps",
    bad_at="noise, blur and compression, which it is not trained on by default; no weights are public: there is a tiny model, "
    "and recipes to train a large one",
    scale="2, 4 or 8, as the model was trained; other sizes are resized from that",
    memory="for a result of 848x480 by the tiny model: 2.4 GiB with 26 frames at a time, 1.4 with 5",
    use="--method videogigagan [--videogigagan.model FOLDER]",
)
