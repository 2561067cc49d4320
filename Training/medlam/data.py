"""OpenKBP archives as 3 mm, 8 bit volumes in the network's convention.

The convention, stated once: arrays have axes (z, y, x); the index grows towards Superior, Anterior, Left (nibabel's
axcodes of (x, y, z) are 'LAS'); voxels are 3 mm cubes. HU map piecewise linearly [-1000, -200, 200, 1500] ->
[0, 0.2, 0.8, 1], clipped; outside the scan is 0 (air). Positions are mm along (z, y, x) from the centre of the first
voxel of the whole flipped OpenKBP array.

`python -m medlam.data SOURCE CACHE` writes CACHE/train.pt and CACHE/validation.pt.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform

VOXEL_MM = 3.0
HU_KNOTS = (-1000, -200, 200, 1500)
INTENSITY_KNOTS = (0, 0.2, 0.8, 1)
BODY_LEVEL = 38
"""8 bit intensity of -400 HU: above it is body (or couch), below it air and lung."""

STRUCTURES = ("Brainstem", "SpinalCord", "Parotid_R", "Parotid_L", "Esophagus", "Larynx", "Bone_Mandible")
"""In the order of the bits of the archive's `lab`."""


@dataclass
class Scan:
    """One patient: uint8 volume cropped to what was stored, and where the crop begins."""

    name: str
    volume: torch.Tensor
    origin_mm: np.ndarray

    @cached_property
    def body(self):
        """Indices (z, y, x) of body voxels, int16 [n, 3], a quarter of them, sorted by z."""
        return np.argwhere(self.volume.numpy() > BODY_LEVEL)[::4].astype(np.int16)

    def random_body_point(self, rng, low_mm=-np.inf, high_mm=np.inf):
        """Position (mm) of a body voxel, all slices between low and high being equally likely."""
        first, last = np.searchsorted(self.body[:, 0], (np.array([low_mm, high_mm]) - self.origin_mm[0]) / VOXEL_MM)
        rows = self.body[first:last] if last > first else self.body
        z = rng.uniform(rows[0, 0], rows[-1, 0] + 1)
        first, last = np.searchsorted(rows[:, 0], [np.floor(z), np.floor(z) + 1])
        row = rows[rng.integers(first, last)] if last > first else rows[rng.integers(len(rows))]
        return self.origin_mm + VOXEL_MM * row


def to_intensity(hu):
    """Hounsfield units to 0..1."""
    return np.interp(hu, HU_KNOTS, INTENSITY_KNOTS)


def to_network_axes(array):
    """OpenKBP's [row, column, slice] to (z, y, x) growing towards superior, anterior, left."""
    return array.transpose(2, 0, 1)[::-1, ::-1]


def read_scan(path):
    """A Scan from an OpenKBP archive."""
    with np.load(path) as archive:
        stored, spacing = to_network_axes(archive["ct"]), archive["vox"][[2, 0, 1]]
    hu = np.where(stored > 0, stored.astype(np.float32) - 1000, -1000)
    filled = np.argwhere(stored > 200)
    low_mm, high_mm = filled.min(0) * spacing, filled.max(0) * spacing
    first = np.maximum(np.floor(low_mm / VOXEL_MM), 0)
    size = (np.ceil(high_mm / VOXEL_MM) - first + 1).astype(int)
    intensity = affine_transform(to_intensity(hu).astype(np.float32), VOXEL_MM / spacing,
                                 offset=first * VOXEL_MM / spacing, output_shape=tuple(size), order=1)
    volume = torch.from_numpy(np.round(intensity * 255).astype(np.uint8))
    return Scan(Path(path).stem, volume, first * VOXEL_MM)


def read_structures(path):
    """Structure name -> positions [n, 3] (mm) of its voxels, for the structures that the clinic drew."""
    with np.load(path) as archive:
        labels, spacing = to_network_axes(archive["lab"]), archive["vox"][[2, 0, 1]]
    voxels = {structure: np.argwhere(labels & (1 << bit)) for bit, structure in enumerate(STRUCTURES)}
    return {structure: found * spacing for structure, found in voxels.items() if len(found)}


def prepare(source, cache):
    """Writes both splits of the OpenKBP archives under `source` as caches."""
    Path(cache).mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        scans = [read_scan(path) for path in sorted(Path(source, split).glob("*.npz"))]
        torch.save([(s.name, s.volume, torch.from_numpy(s.origin_mm)) for s in scans], Path(cache, f"{split}.pt"))
        print(split, len(scans), f"{sum(s.volume.numel() for s in scans) / 1e6:.0f} MB")


def load_cache(path):
    """The scans of one cache file."""
    return [Scan(name, volume, origin.numpy()) for name, volume, origin in torch.load(path, weights_only=True)]


if __name__ == "__main__":
    prepare(*sys.argv[1:3])
