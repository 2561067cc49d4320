"""Training examples: crops near structures, turned, stretched, mirrored, blurred or sharpened, and cut off as scans are."""

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import IterableDataset, get_worker_info

from medlam.data import STRUCTURES

CROP = (48, 64, 64)
"""Voxels along (z, y, x)."""
JITTER = (10, 14, 14)
"""A crop's middle lies at most this many voxels from a point of a structure, along each axis."""
OPEN_BELOW = ("SpinalCord", "Esophagus")
"""Clinics stop drawing these downwards at arbitrary slices: below their last slice nothing is known."""
MIRRORED = [STRUCTURES.index({"Parotid_L": "Parotid_R", "Parotid_R": "Parotid_L"}.get(name, name)) for name in STRUCTURES]
"""Which structure each is in a mirror."""
UNKNOWN = -1
"""Share of a voxel where the clinic did not look."""


def turn(rng):
    """A small rotation, scaling and shear, [3, 3]."""
    result = np.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle, step = rng.uniform(-0.15, 0.15), np.eye(3)
        step[[first, first, second, second], [first, second, first, second]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        result = result @ step
    return result * np.exp(rng.uniform(-0.12, 0.12)) * np.exp(rng.uniform(-0.08, 0.08, 3))


def gathered(case, low, high):
    """Intensities and shares [1 + S, z, y, x] (0..1, unknown -1) of the voxels low..<high, air and nothing beyond the scan."""
    _, volume, structures = case
    size = high - low
    fields = np.zeros((1 + len(STRUCTURES), *size), np.float32)

    def paste(target, array, first):
        begin, end = np.maximum(first, low), np.minimum(first + array.shape, high)
        if (end > begin).all():
            target[tuple(map(slice, begin - low, end - low))] = array[tuple(map(slice, begin - first, end - first))] / np.float32(255)

    paste(fields[0], volume, np.zeros(3, int))
    for n, name in enumerate(STRUCTURES):
        if name not in structures:
            fields[1 + n] = UNKNOWN
            continue
        paste(fields[1 + n], structures[name].share, structures[name].first)
        if name in OPEN_BELOW:
            fields[1 + n, :max(0, int(round(structures[name].ends[0])) - low[0])] = UNKNOWN
    return fields


def sampled(fields, low, points):
    """The image linearly, and the shares linearly but unknown where any neighbour is, at voxel positions [z, y, x, 3]."""
    size = np.array(fields.shape[1:])
    grid = torch.from_numpy(((points - low) * 2 / (size - 1) - 1)[..., ::-1].astype(np.float32))[None]
    stack = torch.from_numpy(fields)[None]
    unknown = (stack[:, 1:] < 0).any(4, keepdim=True).any(3, keepdim=True).float().expand(-1, -1, -1, *fields.shape[2:])
    values = F.grid_sample(torch.cat([stack[:, :1], stack[:, 1:].clamp(min=0)], 1), grid, align_corners=True)[0]
    hidden = F.grid_sample(unknown.contiguous(), grid, mode="nearest", padding_mode="border", align_corners=True)[0] > 0.5
    return values[0], torch.where(hidden, torch.tensor(float(UNKNOWN)), values[1:])


def sharpness(image, rng):
    """The image blurred (down to the finest clinical noise filter) or sharpened, with noise and another brightness."""
    amount = rng.uniform(-1.0, 1.5)
    smooth = F.avg_pool3d(F.pad(image[None, None], (1,) * 6, mode="replicate"), 3, 1)[0, 0]
    image = image + amount * (image - smooth)
    image = image * rng.uniform(0.93, 1.07) + rng.uniform(-0.04, 0.04)
    if rng.random() < 0.5:
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = image + noise * rng.uniform(0, 0.06)
    return image.clamp(0, 1)


def draw(cases, rng, plain=0):
    """One example: image [1, Z, Y, X] and shares [S, Z, Y, X], unknown -1. A share `plain` of them is neither turned nor recoloured, nor resampled."""
    name = STRUCTURES[rng.integers(len(STRUCTURES))]
    having = [n for n, case in enumerate(cases) if name in case[2]]
    case = cases[having[rng.integers(len(having))]]
    structure = case[2][name]
    points = np.argwhere(structure.share > 127)
    middle = points[rng.integers(len(points))] + structure.first + rng.uniform(-1, 1, 3) * JITTER
    is_plain = plain > 0 and rng.random() < plain
    middle = np.round(middle) + 0.5 if is_plain else middle
    matrix, mirrored = np.eye(3) if is_plain else turn(rng), rng.random() < 0.5
    if mirrored:
        matrix[:, 2] *= -1
    axes = [torch.arange(n).numpy() - (n - 1) / 2 for n in CROP]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1) @ matrix.T + middle
    low, high = np.floor(points.min((0, 1, 2))).astype(int), np.ceil(points.max((0, 1, 2))).astype(int) + 2
    image, shares = sampled(gathered(case, low, high), low, points)
    if mirrored:
        shares = shares[MIRRORED]
    image = image if is_plain else sharpness(image, rng)
    if rng.random() < 0.2:
        cut = rng.integers(4, 16)
        ends = slice(0, cut) if rng.random() < 0.5 else slice(CROP[0] - cut, None)
        image[ends], shares[:, ends] = 0, UNKNOWN
    return image[None], shares


class Examples(IterableDataset):
    """Endless examples; the same seed and number of workers give the same."""

    def __init__(self, cases, seed, plain=0):
        self.cases, self.seed, self.plain = cases, seed, plain

    def __iter__(self):
        worker = get_worker_info()
        rng = np.random.default_rng((*self.seed, worker.id) if worker and worker.id else self.seed)
        while True:
            yield draw(self.cases, rng, self.plain)
