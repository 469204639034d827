"""Prints the pixels that heat_map_test.cpp and prototype_sheet_test.cpp expect, from numpy."""
import numpy as np


def taps(size, target):
    """Sample points at pixel centres (align_corners = False), clamped to the first centre."""
    place = np.maximum((np.arange(target) + 0.5) * size / target - 0.5, 0)
    low = np.minimum(np.floor(place).astype(int), size - 1)
    return low, np.minimum(low + 1, size - 1), place - low


def bilinear(maps, height, width):
    low, high, share = taps(maps.shape[-2], height)
    rows = maps[..., low, :] * (1 - share)[:, None] + maps[..., high, :] * share[:, None]
    low, high, share = taps(maps.shape[-1], width)
    return rows[..., low] * (1 - share) + rows[..., high] * share


def heat_color(value):
    stops = np.array([[0, 0, 255], [0, 255, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], float)
    return [np.interp(value * 4, range(5), stops[:, c]) for c in range(3)]


scores = np.array([[0.1, 0.93, 0.41], [0.32, -0.7, 0.53]])
heat = (bilinear(scores, 8, 9) - scores.min()) / (scores.max() - scores.min())
for y, x in [(0, 0), (2, 5), (4, 6), (7, 4), (7, 8)]:
    color = np.floor(np.array(heat_color(heat[y, x])) + 0.5)
    blended = np.floor(0.25 * 200 + 0.75 * color + 0.5).astype(int)
    print(f"heat {y} {x}:", blended.tolist(), heat[y, x])

maps = np.array([[[0.9, 0.2], [0.1, 0.3]], [[0.4, 0.6], [0.5, 0.2]], [[0.1, 0.1], [0.2, 0.7]]])
winners = bilinear(maps, 6, 6).argmax(0)
print("winners:", *["".join(map(str, row)) for row in winners])
