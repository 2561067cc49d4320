"""Five-shot localisation: from the extreme points of a few support patients to a structure's box in a new scan.

Reference for the product's own implementation, and what validate.py measures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from medlam.data import VOXEL_MM
from medlam.losses import at_points
from medlam.network import POSITION_SCALE_MM, upsample
from medlam.views import PATCH, plain_patch

MIDDLE = PATCH // 2
LEVELS = (2, 1, 0)
CROP = 32
"""Edge of the middle part of a patch on which the full-size features are computed, as in training."""


@dataclass
class Landmark:
    """What the supports say of one extreme point: latents [s, 3] and, a level, unit-length features [s, c]."""

    latents: torch.Tensor
    features: dict


@torch.no_grad()
def patch_features(network, patch):
    """Latent [3] and the unnormalised feature maps {level: [c, z, y, x]} of one patch [1, 64, 64, 64].

    The full-size map is that of the middle CROP voxels only.
    """
    c0, c1, c2, c3, c4 = network.encode(patch[None])
    d2, d1 = network.decode_half(c1, c2, c3, c4)
    half, margin = CROP // 4, 1
    inner = slice(MIDDLE // 2 - half - margin, MIDDLE // 2 + half + margin)
    full = slice(MIDDLE - CROP // 2, MIDDLE + CROP // 2)
    raised = upsample(d1[:, :, inner, inner, inner])[:, :, 2:-2, 2:-2, 2:-2]
    d0 = network.decode_full(c0[:, :, full, full, full], raised)
    return network.head(c4)[0], {2: d2[0], 1: d1[0], 0: d0[0]}


def level_index(index, level):
    """Full-size voxel indices of a patch as indices of a level's map; level 0 is the middle crop."""
    return index - (MIDDLE - CROP // 2) if level == 0 else (index + 0.5) / 2**level - 0.5


def learn_landmark(network, supports):
    """A Landmark from (scan, point in mm) pairs, each patch centred on the point."""
    centre = torch.full((1, 3), float(MIDDLE))
    latents, features = [], {level: [] for level in LEVELS}
    for scan, point in supports:
        latent, maps = patch_features(network, plain_patch(scan, point))
        latents.append(latent)
        for level in LEVELS:
            features[level].append(at_points(maps[level], level_index(centre, level))[0])
    return Landmark(torch.stack(latents), {level: torch.stack(f) for level, f in features.items()})


def jump(latent_target, latent_here):
    """Offset in mm (float64 numpy), latents [..., 3]."""
    return (torch.tanh(latent_target - latent_here) * torch.tensor(POSITION_SCALE_MM)).double().numpy()


@torch.no_grad()
def start_latents(network, scan, count, rng):
    """Positions [count, 3] (mm) of random body voxels and the latents of the patches there."""
    points = np.stack([scan.random_body_point(rng) for _ in range(count)])
    return points, torch.cat([network.position(plain_patch(scan, point)[None]) for point in points])


def first_jump(landmark, starts):
    """Where the starts, by median, say that the landmark lies (mm)."""
    points, latents = starts
    return np.median(points + jump(landmark.latents.median(0).values, latents), axis=0)


@torch.no_grad()
def later_jump(network, scan, landmark, point):
    """A better place from the patch at `point`."""
    return point + jump(landmark.latents.median(0).values, network.position(plain_patch(scan, point)[None])[0])


def similarity_maps(landmark, maps, reach):
    """Cosine similarities {level: [s, n, n, n]} at full-size voxels within `reach` of the patch's middle."""
    line = torch.arange(-reach, reach + 1.0)
    offsets = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    result = {}
    for level in LEVELS:
        picked = at_points(maps[level], level_index(MIDDLE + offsets, level))
        result[level] = (landmark.features[level] @ picked.T).reshape(-1, *[2 * reach + 1] * 3)
    return result


def refine(landmark, maps, reach, weights, prior_mm):
    """Offset in mm from the patch's middle: each support's best voxel, then the median over supports."""
    similarities = similarity_maps(landmark, maps, reach)
    total = sum(weights[level] * similarities[level] for level in LEVELS)
    line = torch.arange(-reach, reach + 1.0) * VOXEL_MM
    squared = line[:, None, None]**2 + line[None, :, None]**2 + line**2
    total = total - squared / (2 * prior_mm**2)
    best = torch.stack(torch.unravel_index(total.flatten(1).argmax(1), total.shape[1:]), -1)
    return ((best - reach) * VOXEL_MM).double().median(0).values.numpy()
