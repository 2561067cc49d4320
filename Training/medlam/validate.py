"""Measures a trained MedLAM on the validation patients, none of whom it was trained on.

`python -m medlam.validate OPENKBP CACHE WEIGHTS RESULT.json [--patients N] [--seeds 0 1 2]`

- position: distance (mm) by which the offset between two patches of a scan is missed.
- retrieval: distance (mm) between a voxel's best match in another, augmented view and its true place, a level.
- boxes: five supports from the training patients (one draw a seed) and locate.py; IoU and wall distance (mm).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from medlam import locate
from medlam.data import STRUCTURES, load_cache, read_structures
from medlam.network import load_checkpoint, position_offset_mm
from medlam.train import draw, level_loss
from medlam.views import plain_patch

SUPPORTS = 5
STARTS = 10


@torch.no_grad()
def position_errors(network, scans, rng, patches=4):
    """Absolute errors [n, 3] in mm of the offsets between random patches, over all pairs a scan."""
    errors = []
    for scan in scans:
        points = np.stack([scan.random_body_point(rng) for _ in range(patches)])
        latents = torch.cat([network.position(plain_patch(scan, point)[None]) for point in points])
        first, second = np.triu_indices(patches, 1)
        predicted = position_offset_mm(latents[first], latents[second]).numpy()
        errors.append(abs(predicted - (points[first] - points[second])))
    return np.concatenate(errors)


@torch.no_grad()
def retrieval_errors(network, scans, rng):
    """{level: median distances in mm, one a scan} between two augmented views."""
    medians = {2: [], 1: []}
    for scan in scans:
        patches, _, points = draw(scan, 0, rng)
        if len(points[0]) >= 16:
            _, c1, c2, c3, c4 = network.encode(patches)
            for level, maps in zip((2, 1), network.decode_half(c1, c2, c3, c4)):
                medians[level].append(level_loss(maps, points, level)[1])
    return medians


def draw_supports(network, scans, archives, seed):
    """{structure: SUPPORTS supports}: the first patients of a random order that have the structure."""
    rng = np.random.default_rng(seed)
    supports = {structure: [] for structure in STRUCTURES}
    for index in rng.permutation(len(scans)):
        if all(len(found) == SUPPORTS for found in supports.values()):
            break
        for structure, voxels in read_structures(archives / f"{scans[index].name}.npz").items():
            if len(supports[structure]) < SUPPORTS:
                supports[structure].append(locate.learn(network, scans[index], voxels, rng))
    return supports


def intersection_over_union(first, second):
    """IoU of two boxes [6]."""
    low, high = np.maximum(first[::2], second[::2]), np.minimum(first[1::2], second[1::2])
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(first[1::2] - first[::2]) + np.prod(second[1::2] - second[::2]) - common))


def box_errors(network, scans, archives, supports):
    """{structure: [(IoU, errors of the six faces in mm), ...]}, one entry a patient that has it."""
    results = {structure: [] for structure in STRUCTURES}
    for scan in scans:
        starts = locate.start(network, scan, STARTS, np.random.default_rng(0))
        for structure, voxels in read_structures(archives / f"{scan.name}.npz").items():
            true = np.stack([voxels.min(0), voxels.max(0)], 1).ravel()
            box = locate.locate(network, scan, supports[structure], starts)
            results[structure].append((intersection_over_union(box, true), box - true))
    return results


def summary(results):
    """Means a structure, and the mean of the structures."""
    table = {structure: {"patients": len(found), "iou": round(100 * np.mean([f[0] for f in found]), 1),
                         "wd_mm": round(np.mean([abs(f[1]) for f in found]), 1),
                         "wd_median_mm": round(np.median([abs(f[1]).mean() for f in found]), 1),
                         "faces_mm": np.mean([abs(f[1]) for f in found], axis=0).round(1).tolist(),
                         "bias_mm": np.mean([f[1] for f in found], axis=0).round(1).tolist()}
             for structure, found in results.items() if found}
    table["mean"] = {key: round(np.mean([row[key] for row in table.values()]), 1)
                     for key in ("iou", "wd_mm", "wd_median_mm")}
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("openkbp", "cache", "weights", "result"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--patients", type=int, help="every n-th validation patient, this many; all without")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="draws of the five supports")
    options = parser.parse_args()

    torch.set_num_threads(2)
    network = load_checkpoint(options.weights)
    scans = load_cache(options.cache / "validation.pt")
    if options.patients:
        scans = scans[::len(scans) // options.patients][:options.patients]
    errors = position_errors(network, scans, np.random.default_rng(0))
    distances = np.linalg.norm(errors, axis=1)
    retrieval = retrieval_errors(network, scans, np.random.default_rng(0))
    result = {"patients": len(scans),
              "position_mm": {"median": round(float(np.median(distances)), 1),
                              "mean": round(float(distances.mean()), 1),
                              "median_zyx": np.median(errors, axis=0).round(1).tolist()},
              "retrieval_median_mm": {f"level {level}": round(float(np.median(found)), 1)
                                      for level, found in retrieval.items()}}
    print(json.dumps(result), flush=True)
    train = load_cache(options.cache / "train.pt")
    for seed in options.seeds:
        supports = draw_supports(network, train, options.openkbp / "train", seed)
        found = box_errors(network, scans, options.openkbp / "validation", supports)
        result[f"boxes seed {seed}"] = summary(found)
        options.result.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
