"""OpenKBP archives as what the segmenter learns from: scans on medlam's grid, and the clinic's structures on the same.

`python -m segmenter.data SOURCE CACHE` writes CACHE/segmenter-train.pt.xz (43 MB) and CACHE/segmenter-validation.pt.xz. The
convention is that of medlam/data.py: axes (z, y, x) towards superior, anterior, left; 3 mm voxels; 8 bit intensities.
"""

import json
import lzma
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform

from medlam.data import STRUCTURES, VOXEL_MM, read_scan, to_network_axes


@dataclass
class Structure:
    """One structure of one scan, on the scan's grid: where its field begins (voxels), its share of each voxel (uint8, 255 is
    all), and its lowest and highest slice (voxels along z)."""

    first: np.ndarray
    share: np.ndarray
    ends: np.ndarray


def read_masks(path, scan):
    """Structure name -> Structure, for those that the clinic drew."""
    with np.load(path) as archive:
        labels, spacing = to_network_axes(archive["lab"]), archive["vox"][[2, 0, 1]]
    found = {}
    for bit, name in enumerate(STRUCTURES):
        voxels = np.argwhere(labels & (1 << bit))
        if len(voxels) < 20:
            continue
        low, high = ((end * spacing - scan.origin_mm) / VOXEL_MM for end in (voxels.min(0) - 0.5, voxels.max(0) + 0.5))
        first = np.floor(low).astype(int) - 1
        size = np.ceil(high).astype(int) + 2 - first
        share = affine_transform(((labels >> bit) & 1).astype(np.float32), VOXEL_MM / spacing,
                                 offset=(scan.origin_mm + first * VOXEL_MM) / spacing, output_shape=tuple(size), order=1)
        found[name] = Structure(first, np.round(share * 255).astype(np.uint8), np.array([low[0], high[0]]))
    return found


def prepare(source, cache):
    """Writes both splits of the OpenKBP archives under `source` as caches."""
    Path(cache).mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        cases = []
        for path in sorted(Path(source, split).glob("*.npz")):
            scan = read_scan(path)
            structures = {name: {key: torch.from_numpy(value) for key, value in vars(structure).items()}
                          for name, structure in read_masks(path, scan).items()}
            cases.append((scan.name, scan.volume, structures))
        with lzma.open(Path(cache, f"segmenter-{split}.pt.xz"), "wb", preset=4) as file:
            torch.save(cases, file)
        print(split, len(cases), flush=True)


def load(path):
    """The cases of one cache file: (name, volume uint8, structures)."""
    with lzma.open(path) as file:
        cases = torch.load(file, weights_only=True)
    return [(name, volume.numpy(), {structure: Structure(**{key: value.numpy() for key, value in fields.items()})
                                    for structure, fields in structures.items()})
            for name, volume, structures in cases]


def sound(cases):
    """The cases without the structures whose contours are not what they are called (truths.py)."""
    excluded = json.loads(Path(__file__).with_name("excluded.json").read_text())
    return [(name, volume, {structure: drawn for structure, drawn in structures.items() if structure not in excluded.get(name, ())})
            for name, volume, structures in cases]


if __name__ == "__main__":
    prepare(*sys.argv[1:3])
