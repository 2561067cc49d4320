"""Augmented views of a scan: a random patient-like deformation and appearance, sampled as 64^3 patches.

A view has its own "virtual" millimetre space; `to_scan` and `to_view` map points between it and the scan, so that the
same anatomical point is known in two views of the same scan.
"""

import numpy as np
import torch
from torch.nn import functional as F

from medlam.data import VOXEL_MM

PATCH = 64
CONTROL_MM = 48.0
"""Spacing of the control points of the elastic deformation."""
MINIMUM_EXTENT_MM = 110.0
"""A field-of-view cut leaves at least this much of the scan along z."""


class View:
    """One random deformation, appearance and field of view of a scan."""

    def __init__(self, scan, rng):
        self.scan = scan
        self.centre = scan.origin_mm + VOXEL_MM * np.array(scan.volume.shape) / 2
        self.affine = random_affine(rng)
        self.inverse = np.linalg.inv(self.affine)
        self.control_origin = scan.origin_mm - 2 * CONTROL_MM
        count = np.ceil(VOXEL_MM * np.array(scan.volume.shape) / CONTROL_MM).astype(int) + 5
        amplitude_mm = rng.uniform(0, 5)
        self.control = torch.from_numpy(rng.normal(0, amplitude_mm, (1, 3, *count))).float()
        self.curve = torch.from_numpy(random_curve(rng)).float()
        self.noise = max(0.0, rng.normal(0, 0.03))
        self.blur = rng.random() < 0.3
        self.low_mm, self.high_mm = random_field_of_view(scan, rng)
        self.generator = torch.Generator().manual_seed(int(rng.integers(2**62)))

    def displacement(self, points):
        """Elastic displacement in mm at float64 virtual points [n, 3]."""
        size = np.array(self.control.shape[2:])
        unit = 2 * (points - self.control_origin) / CONTROL_MM / (size - 1) - 1
        grid = torch.from_numpy(unit[:, ::-1].copy()).float()[None, None, None]
        moved = F.grid_sample(self.control, grid, align_corners=True, padding_mode="border")
        return moved[0, :, 0, 0].T.numpy()

    def to_scan(self, points):
        """Virtual mm to the scan's mm, [n, 3]."""
        return self.centre + (points - self.centre) @ self.affine.T + self.displacement(points)

    def to_view(self, points):
        """The inverse of `to_scan`, by fixed-point iteration."""
        virtual = points
        for _ in range(8):
            virtual = self.centre + (points - self.centre - self.displacement(virtual)) @ self.inverse.T
        return virtual

    def patch(self, centre):
        """The patch [1, 64, 64, 64] whose voxel (32, 32, 32) lies at the virtual point `centre`."""
        knots = np.linspace(-PATCH // 2, PATCH // 2 - 1, 17) * VOXEL_MM
        lattice = np.stack(np.meshgrid(knots, knots, knots, indexing="ij"), -1).reshape(-1, 3) + centre
        placed = torch.from_numpy(self.to_scan(lattice).T.reshape(1, 3, 17, 17, 17)).float()
        placed = F.interpolate(placed, size=(PATCH,) * 3, mode="trilinear", align_corners=True)[0]
        values = sample(self.scan, placed, self.curve)
        if self.blur:
            values = F.avg_pool3d(F.pad(values[None], (1, 1, 1, 1, 1, 1), mode="replicate"), (3, 2, 2), 1)
            values = values[0, :, :, 1:, 1:]
        values = values + self.noise * torch.randn(values.shape, generator=self.generator) * (values > 0)
        inside = (placed[0] > self.low_mm) & (placed[0] < self.high_mm)
        return values.clamp(0, 1) * inside


def sample(scan, placed_mm, curve):
    """Trilinear intensities [1, z, y, x] of a scan at positions [3, z, y, x] in mm, mapped by a 256-entry curve."""
    index = (placed_mm - torch.from_numpy(scan.origin_mm).float()[:, None, None, None]) / VOXEL_MM
    size = torch.tensor(scan.volume.shape)
    flat = index.flatten(1)
    low = torch.minimum(flat.amin(1).floor().long().clamp(min=0), size - 1)
    high = torch.minimum(torch.maximum(flat.amax(1).ceil().long() + 1, low + 1), size)
    box = scan.volume[low[0]:high[0], low[1]:high[1], low[2]:high[2]]
    # One voxel of air around, so that outside means air with align_corners and any crop.
    box = F.pad(curve[box.long()], (1, 1, 1, 1, 1, 1))
    extent = torch.tensor(box.shape)
    unit = 2 * (index - (low - 1)[:, None, None, None]) / (extent - 1)[:, None, None, None] - 1
    return F.grid_sample(box[None, None], unit.flip(0).permute(1, 2, 3, 0)[None], align_corners=True)[0]


IDENTITY_CURVE = torch.arange(256).float() / 255


def plain_patch(scan, centre_mm):
    """The unaugmented patch [1, 64, 64, 64] with voxel (32, 32, 32) at `centre_mm`."""
    line = [torch.arange(-PATCH // 2, PATCH // 2) * VOXEL_MM + float(c) for c in centre_mm]
    return sample(scan, torch.stack(torch.meshgrid(*line, indexing="ij")), IDENTITY_CURVE)


def random_affine(rng):
    """Rotation (neck flexion the largest), anisotropic scale, a little shear."""
    flexion, roll, yaw = np.radians(rng.normal(0, (6, 3, 3)))
    rotation = np.eye(3)
    for angle, (i, j) in ((flexion, (0, 1)), (roll, (0, 2)), (yaw, (1, 2))):
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    scale = np.exp(rng.normal(0, 0.06) + rng.normal(0, 0.04, 3))
    return rotation @ np.diag(scale) @ (np.eye(3) + rng.normal(0, 0.02, (3, 3)))


def random_curve(rng):
    """A random monotone map of the 256 intensities; air stays air."""
    knots = np.array([0, 0.1, 0.2, 0.4, 0.46, 0.5, 0.53, 0.56, 0.6, 0.7, 0.8, 1])
    steps = np.diff(knots) * np.exp(rng.normal(0, 0.25, len(knots) - 1))
    values = np.concatenate([[0], np.cumsum(steps)])
    values = values / values[-1] ** rng.uniform(0.3, 1)
    return np.interp(np.linspace(0, 1, 256), knots, np.minimum(values, 1) ** np.exp(rng.normal(0, 0.1)))


def random_field_of_view(scan, rng):
    """Limits (mm) along z between which a view shows anything."""
    low = scan.origin_mm[0]
    high = low + VOXEL_MM * (scan.volume.shape[0] - 1)
    spare = max(0.0, high - low - MINIMUM_EXTENT_MM)
    cut = spare * rng.uniform(0, 0.8) * (rng.random() < 0.6)
    share = rng.random()
    return low - 1 + cut * share, high + 1 - cut * (1 - share)
