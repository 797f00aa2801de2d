"""Small ICC profiles, and what their numbers look like in sRGB, by the formulas of ICC.1:2022 and IEC 61966-2-1."""

import struct
from itertools import product

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Columns are red, green and blue in XYZ, adapted to D50 (http://www.brucelindbloom.com, RGB/XYZ matrices), rounded.
SRGB = np.array([[0.43607, 0.38506, 0.14308], [0.2225, 0.71688, 0.06062], [0.01393, 0.0971, 0.71417]])
ADOBE = np.array([[0.60976, 0.20524, 0.14922], [0.31112, 0.62566, 0.06322], [0.01948, 0.06089, 0.74484]])
GAMMA = 1.5


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(65536 * number) for number in numbers))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, data, offset = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    size, version, rest = struct.pack(">I", offset + len(data)), bytes([2, 64, 0, 0]), bytes(48)
    header = size + bytes(4) + version + kind + space + connection + bytes(12) + b"acsp" + bytes(28) + _fixed(*D50)
    return header + rest + struct.pack(">I", len(tags)) + table + data


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


CURVE = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * GAMMA))
GRAY = _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(np.array(D50)), b"kTRC": CURVE})
RGB = _profile(
    b"mntr",
    b"RGB ",
    b"XYZ ",
    {
        b"wtpt": _xyz(np.array(D50)),
        **{name + b"XYZ": _xyz(column) for name, column in zip((b"r", b"g", b"b"), ADOBE.T, strict=True)},
        **{name + b"TRC": CURVE for name in (b"r", b"g", b"b")},
    },
)
STRAIGHT = bytes(range(256))
# Each ink makes the paper darker by a quarter: L* = 100 - 25 (c + m + y + k).
INKS = b"".join(bytes([round(255 * (1 - sum(inks) / 4)), 128, 128]) for inks in product((0, 1), repeat=4))
LUT = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * STRAIGHT + INKS + 3 * STRAIGHT
CMYK = _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(np.array(D50)), b"A2B0": LUT})


def in_srgb(numbers: np.ndarray) -> np.ndarray:
    """float [..., 3] from 0 to 255: numbers [..., C] of GRAY (C = 1), RGB (3) or CMYK (4)."""
    if numbers.shape[-1] == 4:
        lightness = 100 - 25 * numbers.sum(axis=-1, keepdims=True) / 255
        linear = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3).repeat(3, axis=-1)
    elif numbers.shape[-1] == 1:
        linear = ((numbers / 255) ** GAMMA).repeat(3, axis=-1)
    else:
        linear = (numbers / 255) ** GAMMA @ ADOBE.T @ np.linalg.inv(SRGB).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
