"""Prints the colours that color_map_test.cpp expects: farthest-first order of a grid in Oklab."""
import itertools

import numpy as np


def oklab(colors):
    share = np.asarray(colors, float) / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(light @ np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                                      [0.2119034982, 0.6806995451, 0.1073969566],
                                      [0.0883024619, 0.2817188376, 0.6299787005]]).T)
    return cones @ np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                             [1.9779984951, -2.4285922050, 0.4505937099],
                             [0.0259040371, 0.7827717662, -0.8086757660]]).T


levels = np.floor(np.arange(9) * 255 / 8 + 0.5).astype(int)
grid = np.array(list(itertools.product(levels, repeat=3)))
grid = grid[oklab(grid)[:, 0] >= 0.35]
place = oklab(grid)
distance = np.linalg.norm(place[:, None] - oklab([[0, 0, 0], [255, 255, 255]])[None], axis=2).min(1)
palette = []
for _ in range(256):
    palette.append(grid[distance.argmax()])
    distance = np.minimum(distance, np.linalg.norm(place - place[distance.argmax()], axis=1))
for index in (0, 1, 2, 3, 15, 100, 255):
    print(index, palette[index].tolist())
for count in (11, 32):
    place = oklab(palette[:count])
    between = np.linalg.norm(place[:, None] - place[None], axis=2) + np.eye(count)
    print("least distance of the first", count, float(between.min()))
