"""A 3D U-Net of five levels that draws all its structures at once.

Input [N, 1, Z, Y, X], 3 mm voxels, edges divisible by 16: intensity 0..1 (medlam/data.py). Output [N, S, Z, Y, X]: a logit a
structure, in the order of medlam.data.STRUCTURES.
"""

import torch
from torch import nn
from torch.nn import functional as F

from medlam.data import STRUCTURES

WIDTHS = (16, 32, 64, 96, 128)
"""Channels a level."""


class Block(nn.Sequential):
    """Two convolutions, each normalised and rectified; the first may halve the edges."""

    def __init__(self, channels_in, channels_out, stride=1):
        super().__init__(
            nn.Conv3d(channels_in, channels_out, 3, stride, 1), nn.InstanceNorm3d(channels_out, affine=True), nn.LeakyReLU(0.01),
            nn.Conv3d(channels_out, channels_out, 3, 1, 1), nn.InstanceNorm3d(channels_out, affine=True), nn.LeakyReLU(0.01))


class Segmenter(nn.Module):
    def __init__(self, widths=WIDTHS, structures=len(STRUCTURES)):
        super().__init__()
        self.down = nn.ModuleList(Block(before, after, 1 if before == 1 else 2) for before, after in zip((1, *widths), widths))
        self.narrow = nn.ModuleList(nn.Conv3d(wide, narrow, 1) for wide, narrow in zip(widths[:0:-1], widths[-2::-1]))
        self.up = nn.ModuleList(Block(2 * width, width) for width in widths[-2::-1])
        self.last = nn.Conv3d(widths[0], structures, 1)

    def forward(self, x):
        seen = []
        for block in self.down:
            x = block(x)
            seen.append(x)
        for narrow, up, level in zip(self.narrow, self.up, seen[-2::-1]):
            x = up(torch.cat([level, F.interpolate(narrow(x), scale_factor=2.0, mode="nearest")], 1))
        return self.last(x)
