"""Numbers without a pattern that tests and their generator scripts make alike (see hashed.h)."""
import numpy as np


def hashed(count, start=0):
    bits = (np.arange(start, start + count, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    bits ^= bits >> 15
    bits = (bits * 2246822519) & 0xFFFFFFFF
    return (bits >> 16).astype(np.int64)


def hashed_image(height, width):
    return (hashed(height * width * 3) % 256).astype(np.uint8).reshape(height, width, 3)
