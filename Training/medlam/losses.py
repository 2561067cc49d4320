"""The two label-free losses: differences of position, and matching of voxels between two views."""

import torch
from torch.nn import functional as F

from medlam.network import position_offset_mm

POSITION_UNIT_MM = 20.0
"""Position errors below this are penalised quadratically, above it linearly."""
SHARPNESS = 15.0
"""Factor of the cosine similarity inside the softmax (paper)."""


def position_loss(latents, positions_mm):
    """Huber loss of the offsets between all pairs of patches of one scan; latents and positions are [n, 3]."""
    first, second = torch.triu_indices(len(latents), len(latents), 1)
    predicted = position_offset_mm(latents[first], latents[second])
    true = positions_mm[first] - positions_mm[second]
    return F.smooth_l1_loss(predicted / POSITION_UNIT_MM, true / POSITION_UNIT_MM)


def at_points(features, points):
    """Unit-length features [n, c] at fractional voxel indices [n, 3] of an unnormalised map [c, z, y, x]."""
    size = torch.tensor(features.shape[1:])
    unit = (2 * (points + 0.5) / size - 1).flip(1)
    picked = F.grid_sample(features[None], unit[None, None, None], align_corners=False, padding_mode="border")
    return F.normalize(picked[0, :, 0, 0].T, dim=1)


def matching_loss(query, features, points, sigma):
    """Cross entropy between softmax(15 cos) over all voxels of `features` [c, z, y, x] and a Gaussian at the true place.

    `query` holds unit-length features [n, c]; `points` [n, 3] and `sigma` are in voxels of `features`.
    Returns the loss and the distance (voxels) from the best match to the true place.
    """
    flat = F.normalize(features, dim=0).flatten(1)
    similarity = SHARPNESS * query @ flat
    weights = [torch.softmax(-(torch.arange(n) - points[:, axis:axis + 1]) ** 2 / (2 * sigma**2), 1)
               for axis, n in enumerate(features.shape[1:])]
    target = torch.einsum("nz,ny,nx->nzyx", *weights).flatten(1)
    loss = (torch.logsumexp(similarity, 1) - (target * similarity).sum(1)).mean()
    with torch.no_grad():
        best = torch.stack(torch.unravel_index(similarity.argmax(1), features.shape[1:]), 1)
        distance = (best - points).norm(dim=1)
    return loss, distance
