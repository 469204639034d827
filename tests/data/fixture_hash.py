"""What the generators and the tests of the data room share: the folder and the hash."""

import pathlib

import numpy as np

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def fnv1a(array):
    """FNV-1a of 64 bits over the bytes of an array of 8-bit values, as fixture.h computes it."""
    value = 0xCBF29CE484222325
    for byte in np.ascontiguousarray(array, dtype=np.uint8).tobytes():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def photograph(height, width, seed):
    """A picture with edges, gradients, saturated colours and grain."""
    grain = np.random.default_rng(seed).normal(0, 18, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 120 + 110 * np.sin(x / 7.0 + y / 23.0)
    green = 255 * (x / width) * (y / height)
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 230, 30)
    return np.clip(np.stack([red, green, blue], -1) + grain, 0, 255).astype(np.uint8)
