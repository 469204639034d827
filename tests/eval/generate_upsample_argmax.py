"""Prints the map that upsample_argmax_test.cpp expects, from a bilinear interpolation in numpy."""
import numpy as np

from hashed import hashed


def taps(size, target):
    """Sample points at pixel centres (align_corners = False), clamped to the first centre."""
    place = np.maximum((np.arange(target) + 0.5) * size / target - 0.5, 0)
    low = np.minimum(np.floor(place).astype(int), size - 1)
    return low, np.minimum(low + 1, size - 1), place - low


def bilinear(maps, height, width):
    low, high, share = taps(maps.shape[1], height)
    rows = maps[:, low] * (1 - share)[:, None] + maps[:, high] * share[:, None]
    low, high, share = taps(maps.shape[2], width)
    return rows[:, :, low] * (1 - share) + rows[:, :, high] * share


scores = hashed(3 * 3 * 4).reshape(3, 3, 4) / 65536
upsampled = bilinear(scores, 8, 10)
margin = np.diff(np.sort(upsampled, 0)[-2:], axis=0).min()
print("least margin", margin)
for row in upsampled.argmax(0):
    print("".join(map(str, row)))
