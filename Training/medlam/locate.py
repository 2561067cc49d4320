"""Five-shot localisation: from a few contoured scans (supports) to a structure's box in a new scan.

Reference for the product's own implementation, and what validate.py measures:

1. Jump: patches at random places of the scan and the supports' latents say where each anchor of the structure lies.
2. Match: points in and around each support's structure find their most similar voxels in the patch there.
3. Fit: a robust scale and shift an axis maps the support's box; the box's faces are medians over the supports.
   Match and fit are repeated from the better place.

An anchor is a patch centre: the middle of the structure's box, and for long structures both ends too.
"""

from dataclasses import dataclass

import numpy as np
import torch

from medlam.data import VOXEL_MM
from medlam.losses import at_points
from medlam.network import POSITION_SCALE_MM
from medlam.views import PATCH, plain_patch

MIDDLE = PATCH // 2
LEVELS = (2, 1)
"""Feature levels in use: 1/4 and 1/2 size. Full size costs three times as much."""
REACH = 24
"""Matches are sought this many voxels around the patch's middle, on every second voxel."""
NEAR_MM = 75.0
"""An anchor owns the structure's points this near along every axis."""
LONG_MM = 140.0
"""Structures longer than this along z have three anchors."""
POINTS = 80
HALO_MM = 8.0
"""Standard deviation of the points drawn around the structure, as many as in it."""


@dataclass
class Anchor:
    """A patch of a support: its centre (mm), latent [3], points [n, 3] (mm) and a level their features [n, c]."""

    centre: np.ndarray
    latent: torch.Tensor
    points: np.ndarray
    features: dict


@dataclass
class Support:
    """One contoured scan's knowledge of a structure: box [6] (low z, high z, low y, ...; mm) and anchors."""

    box: np.ndarray
    anchors: list


@torch.no_grad()
def describe(network, scan, centre):
    """Latent [3] and unnormalised feature maps {level: [c, z, y, x]} of the patch at `centre`."""
    _, c1, c2, c3, c4 = network.encode(plain_patch(scan, centre)[None])
    d2, d1 = network.decode_half(c1, c2, c3, c4)
    return network.head(c4)[0], {2: d2[0], 1: d1[0]}


def features_at(maps, index):
    """Unit-length features {level: [n, c]} at full-size voxel indices [n, 3] of a patch."""
    return {level: at_points(maps[level], (index + 0.5) / 2**level - 0.5) for level in LEVELS}


def patch_index(points, centre):
    """Points in mm as voxel indices of the patch at `centre`."""
    return torch.from_numpy((points - centre) / VOXEL_MM + MIDDLE).float()


def learn(network, scan, voxels_mm, rng):
    """A Support from the positions [n, 3] (mm) of a structure's voxels."""
    low, high = voxels_mm.min(0), voxels_mm.max(0)
    inside = voxels_mm[rng.permutation(len(voxels_mm))[:POINTS]]
    points = np.concatenate([inside, inside + rng.normal(0, HALO_MM, inside.shape)])
    centres = [(low + high) / 2]
    if high[0] - low[0] > LONG_MM:
        centres += [voxels_mm[voxels_mm[:, 0] == end].mean(0) for end in (low[0], high[0])]
    anchors = []
    for centre in centres:
        latent, maps = describe(network, scan, centre)
        own = points[(abs(points - centre) < NEAR_MM).all(1)]
        anchors.append(Anchor(centre, latent, own, features_at(maps, patch_index(own, centre))))
    return Support(np.stack([low, high], 1).ravel(), anchors)


@torch.no_grad()
def start(network, scan, count, rng):
    """Positions [count, 3] (mm) of random body voxels and the latents of the patches there."""
    points = np.stack([scan.random_body_point(rng) for _ in range(count)])
    return points, torch.cat([network.position(plain_patch(scan, point)[None]) for point in points])


def jump(target, here):
    """Offset in mm from the latent `here` to the latent `target`, [..., 3]."""
    return (torch.tanh(target - here) * torch.tensor(POSITION_SCALE_MM)).double().numpy()


def match(anchors, maps, centre, expected, prior_mm):
    """For each support's anchor: where its points lie in the patch at `centre`, and how surely.

    `expected` holds the points' places [n, 3] (mm) so far, one array an anchor; being `prior_mm` off costs 0.05.
    Returns a list of (places [n, 3] in mm, similarities [n]).
    """
    line = torch.arange(-REACH, REACH, 2.0)
    offsets = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    candidates = features_at(maps, MIDDLE + offsets)
    found = []
    for anchor, places in zip(anchors, expected):
        similarity = sum(anchor.features[level] @ candidates[level].T for level in LEVELS) / len(LEVELS)
        away = torch.cdist(patch_index(places, centre) - MIDDLE, offsets) * VOXEL_MM
        best = (similarity - 0.05 * (away / prior_mm) ** 2).argmax(1)
        sure = similarity[torch.arange(len(best)), best].clamp(min=0) ** 2
        found.append((centre + VOXEL_MM * offsets[best].double().numpy(), sure.double().numpy()))
    return found


def fit(points, places, weights):
    """Robust map of each axis, (middle, scale, shift) [3] each: place = middle + shift + scale (point - middle).

    Iteratively reweighted least squares; the scale is drawn to 1, as by points that agree with it.
    """
    middle, scale, shift = points.mean(0), np.ones(3), np.median(places - points, axis=0)
    for _ in range(8):
        miss = places - (middle + shift + scale * (points - middle))
        tolerance = np.maximum(4.0, 1.5 * np.median(abs(miss), axis=0))
        w = weights[:, None] / (1 + (miss / tolerance) ** 2) ** 2
        total = w.sum(0)
        from_mean, to_mean = (w * points).sum(0) / total, (w * places).sum(0) / total
        stiffness = 0.15 * 15.0**2 * total
        spread = (w * (points - from_mean) ** 2).sum(0) + stiffness
        scale = ((w * (points - from_mean) * (places - to_mean)).sum(0) + stiffness) / spread
        shift = to_mean - middle - scale * (from_mean - middle)
    return middle, scale, shift


def apply(mapping, points):
    """Maps points [n, 3]."""
    middle, scale, shift = mapping
    return middle + shift + scale * (points - middle)


@torch.no_grad()
def locate(network, scan, supports, starts, priors_mm=(30.0, 15.0)):
    """The box [6] (mm) of a structure in a scan; `starts` from `start`, a round of match and fit for each prior."""
    count = min(len(s.anchors) for s in supports)
    groups = [[s.anchors[i] for s in supports] for i in range(count)]
    centres = []
    for group in groups:
        target = torch.stack([anchor.latent for anchor in group]).median(0).values
        place = np.median(starts[0] + jump(target, starts[1]), axis=0)
        centres.append(place + jump(target, network.position(plain_patch(scan, place)[None])[0]))
    expected = [[a.points - a.centre + centre for a in group] for group, centre in zip(groups, centres)]
    for prior_mm in priors_mm:
        found = [match(group, describe(network, scan, centre)[1], centre, places, prior_mm)
                 for group, centre, places in zip(groups, centres, expected)]
        maps = [fit(np.concatenate([g[s].points for g in groups]), np.concatenate([f[s][0] for f in found]),
                    np.concatenate([f[s][1] for f in found])) for s in range(len(supports))]
        centres = [np.median([apply(m, a.centre) for m, a in zip(maps, group)], axis=0) for group in groups]
        expected = [[apply(m, a.points) for m, a in zip(maps, group)] for group in groups]
    faces = np.median([apply(m, s.box.reshape(3, 2).T) for m, s in zip(maps, supports)], axis=0).T
    shown = scan.origin_mm[0], scan.origin_mm[0] + VOXEL_MM * (scan.volume.shape[0] - 1)
    faces[0] = faces[0].clip(*shown)
    return faces.ravel()
