"""Prints what random_test.cpp expects of Random::keyed(1, 2, 3), computed without it."""

import struct

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


state = mix(mix(mix(mix(1) ^ (2 + GAMMA)) ^ ((3 + 2 * GAMMA) & MASK)))


def bits():
    global state
    state = (state + GAMMA) & MASK
    return mix(state)


width = struct.unpack("f", struct.pack("f", 2.0 - 0.1))[0]
print(bits())
print(((bits() >> 11) * 2.0**-53).hex())
print((0.1 + width * ((bits() >> 35) * 2.0**-29)).hex())
print(bits() % 1000)
print(bits() % 11 - 5)
order = list(range(8))
for last in range(8, 1, -1):
    place = bits() % last
    order[last - 1], order[place] = order[place], order[last - 1]
print(order)
