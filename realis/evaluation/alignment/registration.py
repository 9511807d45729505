"""Sub-pixel registration of a restored frame with its ground truth: a shift and a stretch of each axis."""

from dataclasses import dataclass

import cv2
import numpy as np

from realis.ops.kernels import cubic_kernel

LOW_PASS = 2.5  # pixels, standard deviation: beyond the Nyquist frequency of a fourth of the size all detail may differ
LEAST_LOW_PASS = 1.2  # of an image that was reduced before: bicubic interpolation needs some
BLURS = (2.0, 4.0)  # of the truth: a restored frame that is softer or sharper is a sum of the truth and these
LEAST_SIDE = 24  # pixels of the coarsest level of the pyramid
ITERATIONS = 12
CONVERGED = 0.002  # pixels of a level
CLEARER = 0.25  # times the decorrelation without a shift, at the shift to begin with
LARGEST_STEP = 0.05  # of the width or height, in one iteration
MARGIN = 12  # one in so many pixels at each side is left out: there a shifted frame has no counterpart
BLOCKS = 8  # a side: errors may depend on each other within these, not beyond
REGULARIZATION = 1e-6  # far below one grey level: flat images leave the equations without a solution
LEAST_ERROR = 0.3 / 255  # what rounding to 8 bits leaves, of whatever accuracy an image seems to be


@dataclass(frozen=True)
class Displacement:
    """Where a restored frame shows the content of its truth along one axis, in pixels, positive to the right or down.

    Args:
        begin: at the left or upper border.
        end: at the right or lower border.
        uncertainty: standard error of the less certain of both.
    """

    begin: float
    end: float
    uncertainty: float

    @property
    def largest(self) -> float:
        """The largest displacement anywhere along the axis, without its sign."""
        return max(abs(self.begin), abs(self.end))

    def scale(self, length: int) -> float:
        """Return by what factor the content is larger than the truth's, in frames of ``length`` pixels along the axis."""
        return 1 / (1 - (self.end - self.begin) / length)


@dataclass(frozen=True)
class Registration:
    """How a restored frame lies on its truth.

    Args:
        x: displacement along the rows.
        y: displacement along the columns.
        residual: root mean square of the difference that is left, of low-passed luma in [0, 1].
        unregistered: what it is where nothing is displaced, only brightness, contrast and sharpness fitted.
    """

    x: Displacement
    y: Displacement
    residual: float
    unregistered: float

    @property
    def largest(self) -> float:
        """The largest displacement along either axis anywhere in the frame, without its sign."""
        return max(self.x.largest, self.y.largest)


def register(restored: np.ndarray, truth: np.ndarray, size: tuple[int, int]) -> Registration:
    """Find where a restored frame shows the content of its truth (Lucas and Kanade 1981), from coarse to fine.

    Brightness, contrast and sharpness may differ: they are fitted as well.

    Args:
        restored: (h, w) float32, luma in [0, 1], reduced by averaging.
        truth: the same of the truth.
        size: (H, W) of the frames before that; displacements are in pixels of these.
    """
    sigma = max(LOW_PASS * restored.shape[1] / size[1], LEAST_LOW_PASS)
    pyramid = [(cv2.GaussianBlur(restored, (0, 0), sigma), cv2.GaussianBlur(truth, (0, 0), sigma))]
    while min(pyramid[-1][0].shape) >= 2 * LEAST_SIDE:
        h, w = pyramid[-1][0].shape
        half = [cv2.resize(image, (w // 2, h // 2), interpolation=cv2.INTER_AREA) for image in pyramid[-1]]
        pyramid.append((half[0], half[1]))
    motion, covariance = _coarse_shift(*pyramid[-1]), np.zeros((4, 4))
    for images in reversed(pyramid):
        motion, covariance = _refine(*images, motion)
    x, y = (_ends(motion, covariance, axis, size) for axis in (0, 1))
    residual, unregistered = (_residual(*pyramid[0], tried) for tried in (motion, np.zeros(4)))
    return Registration(x, y, residual, unregistered)


def _coarse_shift(restored: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the motion (4,) to begin with: none, or the shift at which the middle of the truth is clearly found.

    Iterations reach a tenth of the width; this, a fourth.
    """
    h, w = truth.shape
    top, left = h // 4, w // 4
    middle = truth[top : h - top, left : w - left]
    match = np.nan_to_num(cv2.matchTemplate(restored, middle, cv2.TM_CCOEFF_NORMED), posinf=0, neginf=0)
    y, x = np.unravel_index(match.argmax(), match.shape)
    if 1 - match[y, x] > CLEARER * (1 - match[top, left]):
        return np.zeros(4)
    return np.array([(x - left) / w, 0, (y - top) / h, 0])


def _ends(motion: np.ndarray, covariance: np.ndarray, axis: int, size: tuple[int, int]) -> Displacement:
    both = slice(2 * axis, 2 * axis + 2)
    length = size[1 - axis]
    at_ends = np.array([[1, -1], [1, 1]])
    begin, end = at_ends @ motion[both] * length
    variance = np.diagonal(at_ends @ covariance[both, both] @ at_ends.T).max()
    # rounding leaves variances below 0 where nothing is known, as in frames of a few pixels
    return Displacement(float(begin), float(end), float(np.sqrt(variance) * length) if variance >= 0 else np.inf)


def _refine(restored: np.ndarray, truth: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Improve ``motion`` by Gauss-Newton iterations with robust weights at one level of the pyramid.

    Args:
        restored: (h, w) float32, low-passed.
        truth: the same of the truth.
        motion: (4,): of x at the centre, by how much it grows from there to the right, and the same of y and down; in
            widths and heights of the image.

    Returns:
        the motion and its covariance (4, 4).
    """
    inside = _inside(restored.shape)
    scale = np.repeat(restored.shape[::-1], 2)
    observed = restored[inside].ravel()
    weights = np.ones_like(observed)
    for _ in range(ITERATIONS):
        design = _design(_warp(truth, motion * scale), inside)
        weighted = design * weights[:, None]
        inverse = np.linalg.inv((weighted.T @ design).astype(float) + REGULARIZATION * np.eye(design.shape[1]))
        solution = inverse @ (weighted.T @ observed)
        error = observed - design @ solution.astype(np.float32)
        step = solution[:4] / scale
        motion = motion + step.clip(-LARGEST_STEP, LARGEST_STEP)
        if np.abs(solution[:4]).max() < CONVERGED:
            break
        spread = max(1.4826 * float(np.median(np.abs(error))), LEAST_ERROR)
        weights = 1 / (1 + np.square(error / (2 * spread)))  # Cauchy's: what was invented counts less
    covariance = inverse @ _spread_of_blocks(weighted * error[:, None], restored[inside].shape) @ inverse
    covariance += inverse * (LEAST_ERROR**2 * 4 * np.pi * LOW_PASS**2)
    return motion, covariance[:4, :4] / np.outer(scale, scale)


def _residual(restored: np.ndarray, truth: np.ndarray, motion: np.ndarray) -> float:
    """Return the root mean square of what differs after ``motion``, with the best brightness, contrast and sharpness."""
    inside = _inside(restored.shape)
    columns = _appearances(_warp(truth, motion * np.repeat(restored.shape[::-1], 2)))
    design = np.stack([column[inside].ravel() for column in columns], axis=1)
    observed = restored[inside].ravel()
    normal = (design.T @ design).astype(float) + REGULARIZATION * np.eye(len(columns))
    solution = np.linalg.solve(normal, design.T @ observed)
    return float(np.sqrt(np.square(observed - design @ solution.astype(np.float32)).mean()))


def _inside(shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (slice(n // MARGIN, n - n // MARGIN) for n in shape)
    return rows, columns


def _design(warped: np.ndarray, inside: tuple[slice, slice]) -> np.ndarray:
    """Return how a frame changes with the four parameters of motion, brightness, contrast and sharpness: (pixels, 8)."""
    h, w = warped.shape
    x, y = ((2 * np.arange(n, dtype=np.float32) + 1) / n - 1 for n in (w, h))
    dx, dy = (-cv2.Scharr(warped, cv2.CV_32F, *order, scale=1 / 32) for order in ((1, 0), (0, 1)))
    columns = [dx, dx * x, dy, dy * y[:, None], *_appearances(warped)]
    return np.stack([column[inside].ravel() for column in columns], axis=1)


def _appearances(warped: np.ndarray) -> list[np.ndarray]:
    """Return the images of whose sum a restored frame is: brightness, contrast and two of sharpness."""
    return [np.ones_like(warped), warped, *(cv2.GaussianBlur(warped, (0, 0), sigma) for sigma in BLURS)]


def _spread_of_blocks(scores: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the matrix in the middle of a cluster-robust covariance, of blocks of pixels as clusters.

    Neighbouring errors are alike, so that a variance of independent ones would be far too small.
    """
    starts = [np.linspace(0, n, min(BLOCKS, n), endpoint=False).astype(int) for n in shape]
    blocks = np.add.reduceat(np.add.reduceat(scores.reshape(*shape, -1), starts[0], axis=0), starts[1], axis=1)
    blocks = blocks.reshape(-1, scores.shape[1]).astype(float)
    return blocks.T @ blocks


def _warp(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Move the content of ``image`` (h, w) by ``motion`` (4,), in pixels; by bicubic interpolation.

    Not by OpenCV, which rounds places to 1/32 of a pixel: that is a fourth of one of a 4K frame before it was reduced.
    """
    for shift, growth in motion.reshape(2, 2)[::-1]:  # along y, then along x
        centres = np.arange(len(image)) + 0.5
        source = (centres - shift - growth * (2 * centres / len(image) - 1)).clip(0.5, len(image) - 0.5)
        taps = np.floor(source - 0.5).astype(int)[:, None] + np.arange(-1, 3)
        weights = cubic_kernel(source[:, None] - taps - 0.5).astype(np.float32)
        rows = taps.clip(0, len(image) - 1)
        image = sum((weights[:, k, None] * image[rows[:, k]] for k in range(1, 4)), weights[:, :1] * image[rows[:, 0]])
        image = np.ascontiguousarray(image.T)
    return image
