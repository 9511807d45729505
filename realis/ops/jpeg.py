"""JPEG compression (libjpeg-turbo through OpenCV, 4:2:0: the same pixels as Pillow)."""

import cv2
import numpy as np


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode ``image`` (H, W, 3) uint8 RGB; ``quality`` from 1 to 100."""
    _, file = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
