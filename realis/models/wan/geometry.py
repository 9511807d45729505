"""How Wan2.1 counts: frames and pixels of a latent cell, cells of a token. Whole numbers only, no torch.

The VAE takes the first frame of a video alone and the others four by four; a latent cell stands for 8x8 pixels, and the
transformer makes a token of 2x2 cells. What a clip has to be like follows: 4 n + 1 frames, sides in multiples of 8 for
the VAE, and of 16 where the transformer reads its latents.
"""

FRAMES = 4  # of a latent frame, but for the first one, which is of a single frame
CELL = 8  # pixels of a latent cell, each way
PATCH = 2  # cells of a token, each way
TOKEN = CELL * PATCH  # pixels of a token, each way


def latent_frame(frame: int) -> int:
    """Return the number of the latent frame that covers video frame ``frame``, both from 0.

    >>> [latent_frame(i) for i in range(6)]
    [0, 1, 1, 1, 1, 2]
    """
    return (frame + FRAMES - 1) // FRAMES


def phase(frame: int) -> int:
    """Return the place of video frame ``frame`` in its latent frame: 1 to 4, and 0 for the first one of all.

    >>> [phase(i) for i in range(6)]
    [0, 1, 2, 3, 4, 1]
    """
    return (frame - 1) % FRAMES + 1 if frame else 0


def latent_size(frames: int, height: int, width: int) -> tuple[int, int, int]:
    """Return frames, height and width of the latents of a clip of so many frames and pixels.

    >>> latent_size(49, 480, 832)
    (13, 60, 104)
    """
    return latent_frame(frames - 1) + 1, height // CELL, width // CELL


def video_size(frames: int, height: int, width: int) -> tuple[int, int, int]:
    """Invert :func:`latent_size`: return frames, height and width of the clip that latents of this size stand for."""
    return FRAMES * (frames - 1) + 1, CELL * height, CELL * width


def tokens(frames: int, height: int, width: int) -> int:
    """Return how many tokens the transformer makes of a clip of so many frames and pixels.

    >>> tokens(49, 480, 832)
    20280
    """
    f, h, w = latent_size(frames, height, width)
    return f * (h // PATCH) * (w // PATCH)


def has_whole_latents(frames: int) -> bool:
    """Whether the VAE takes so many frames: 4 n + 1."""
    return frames >= 1 and frames % FRAMES == 1


def are_multiples(sides: tuple[int, int], of: int = TOKEN) -> bool:
    """Whether height and width are multiples of so many pixels, above 0."""
    return all(side > 0 and side % of == 0 for side in sides)
