"""Trains MedLAM without labels on a cache made by data.py.

`python -m medlam.train CACHE STATE --minutes 60 [--resume] [--export FILE]`

A step takes one scan and two views of it. Two overlapping patches, one a view, go through encoder and decoder and must
match voxel by voxel; further patches, anywhere, go through the encoder only; the positions of all must differ by
their true distances.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

from medlam.data import BODY_LEVEL, VOXEL_MM, load_cache
from medlam.losses import at_points, matching_loss, position_loss
from medlam.network import MedLAM, upsample
from medlam.views import PATCH, View

PAIR_JITTER_MM = 21.0
"""The two patches of a pair lie at most this far, along each axis, from a common point."""
FAR_JITTER_MM = 36.0
"""Patches that only serve the position lie at most this far from a body voxel."""
POINTS = 192
SIGMA_VOXELS = {2: 0.6, 1: 0.6, 0: 0.8}
"""Width of the target of a match, in voxels of the feature level (1/4, 1/2, full size)."""
CROP = 32
"""Edge of the crop on which the full-size level is trained."""
FIRST_LEVEL_EVERY = 4
"""The full-size encoder level, half the cost of a step, is trained on one step in so many."""
HEAD_RATE = 0.04
"""Learning rate of the position head, as a part of the others'."""
AVERAGING = 0.99
"""Decay a step of the averaged weights, which are what is exported."""


def shared_points(scan, middle, views, centres, rng):
    """Random points near `middle` that both patches show: their voxel indices in each patch, two arrays [n, 3]."""
    points = middle + rng.uniform(-72, 72, (POINTS * 12, 3))
    index = np.round((points - scan.origin_mm) / VOXEL_MM).astype(int)
    stored = ((index >= 0) & (index < scan.volume.shape)).all(1)
    points, index = points[stored], index[stored]
    solid = scan.volume.numpy()[tuple(index.T)] > BODY_LEVEL
    seen = solid | (rng.random(len(points)) < 0.05)
    for view in views:
        seen &= (points[:, 0] > view.low_mm) & (points[:, 0] < view.high_mm)
    points = points[seen][:POINTS * 4]
    placed = [(view.to_view(points) - centre) / VOXEL_MM + PATCH // 2 for view, centre in zip(views, centres)]
    both = np.all([(p > 1) & (p < PATCH - 2) for p in placed], axis=(0, 2))
    return [torch.from_numpy(p[both][:POINTS]).float() for p in placed]


def draw(scan, far, rng):
    """One training example: patches [2 + far, 1, 64, 64, 64], their positions in the scan, and the shared points."""
    views = [View(scan, rng), View(scan, rng)]
    low, high = max(v.low_mm for v in views), min(v.high_mm for v in views)
    middle = scan.random_body_point(rng, low, high)
    centres = [view.to_view(middle[None])[0] + rng.uniform(-PAIR_JITTER_MM, PAIR_JITTER_MM, 3) for view in views]
    owners = list(views)
    for i in range(far):
        view = views[i % 2]
        point = scan.random_body_point(rng, view.low_mm, view.high_mm)
        centres.append(view.to_view(point[None])[0] + rng.uniform(-FAR_JITTER_MM, FAR_JITTER_MM, 3))
        owners.append(view)
    patches = torch.stack([view.patch(centre) for view, centre in zip(owners, centres)])
    positions = np.stack([view.to_scan(centre[None])[0] for view, centre in zip(owners, centres)])
    return patches, torch.from_numpy(positions).float(), shared_points(scan, middle, views, centres[:2], rng)


def level_loss(maps, points, level):
    """Matching loss from the first view's map to the second's at one level; points in full-size voxels."""
    shrink = 2**level
    scaled = [(p + 0.5) / shrink - 0.5 for p in points]
    loss, distance = matching_loss(at_points(maps[0], scaled[0]), maps[1], scaled[1], SIGMA_VOXELS[level])
    return loss, distance.median().item() * shrink * VOXEL_MM


def full_size_crops(network, c0, d1, points, rng):
    """Full-size features on one crop a view around a shared point, and the shared points inside both crops."""
    anchor = rng.integers(len(points[0]))
    maps, moved = [], []
    for view in range(2):
        start = (points[view][anchor] / 2).round().long() - CROP // 4
        start = start.clamp(1, PATCH // 2 - CROP // 2 - 1)
        z, y, x = (start - 1).tolist()
        half = CROP // 2 + 2
        # Upsampled with a margin, so that the crop equals the same part of the whole.
        whole = upsample(d1[view:view + 1, :, z:z + half, y:y + half, x:x + half])[..., 2:-2, 2:-2, 2:-2]
        z, y, x = (2 * start).tolist()
        maps.append(network.decode_full(c0[view:view + 1, :, z:z + CROP, y:y + CROP, x:x + CROP], whole)[0])
        moved.append(points[view] - 2 * start)
    inside = torch.stack([((p >= 0) & (p <= CROP - 1)).all(1) for p in moved]).all(0)
    return maps, [p[inside] for p in moved]


def step_loss(network, example, rng):
    """The summed loss of one example, and its parts for the log."""
    patches, positions, points = example
    encoded = network.encode(patches)
    pair = [activations[:2] for activations in encoded]
    log = {"position": position_loss(network.head(encoded[-1]), positions)}
    total = log["position"]
    if len(points[0]) >= 16:
        d2, d1 = network.decode_half(*pair[1:])
        crops, inside = full_size_crops(network, pair[0], d1, points, rng)
        for level, maps, where in ((2, d2, points), (1, d1, points), (0, crops, inside)):
            if len(where[0]) >= 8:
                loss, log[f"mm{level}"] = level_loss(maps, where, level)
                log[f"match{level}"] = loss.item()
                total = total + 0.2 * loss
    log["position"] = log["position"].item()
    return total, log


def parameter_groups(network):
    """The head learns slowly: Adam moves all 8192 inputs of fc1 at once, and 0.02 of a latent is 30 mm."""
    head, rest = [], []
    for name, parameter in network.named_parameters():
        (head if name.startswith("fc") else rest).append(parameter)
    return [{"params": rest, "factor": 1.0}, {"params": head, "factor": HEAD_RATE}]


@torch.no_grad()
def follow(average, network, keep):
    """Moves the exponential average of the weights."""
    for mean, current in zip(average.parameters(), network.parameters()):
        mean.lerp_(current, 1 - keep)


def export(network, path):
    """The weights alone, half precision, written so that a reader never sees half a file."""
    state = {key: value.detach().half().cpu().contiguous() for key, value in network.state_dict().items()}
    temporary = f"{path}.part"
    torch.save(state, temporary)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("state", type=Path, help="training state, for --resume")
    parser.add_argument("--minutes", type=float, default=60, help="wall clock of this run")
    parser.add_argument("--total-minutes", type=float, help="over all resumed runs; sets the learning rate's decay")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export", type=Path, help="also write the half precision weights here")
    parser.add_argument("--base-channels", type=int, default=8)
    parser.add_argument("--far", type=int, default=2, help="patches a step that only serve the position")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    network = MedLAM(options.base_channels)
    average = MedLAM(options.base_channels)
    optimiser = torch.optim.Adam(parameter_groups(network))
    step, spent = 0, 0.0
    if options.resume:
        state = torch.load(options.state, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["seconds"]
    total = 60 * (options.total_minutes or options.minutes)
    scans = load_cache(options.cache / "train.pt")

    def save():
        temporary = f"{options.state}.part"
        torch.save({"network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                    "step": step, "seconds": spent + time.monotonic() - start}, temporary)
        os.replace(temporary, options.state)
        if options.export:
            export(average, options.export)

    first_level = [*network.conv0_1.parameters(), *network.conv0_2.parameters()]
    start, recent = time.monotonic(), []
    while time.monotonic() - start < 60 * options.minutes:
        rng = np.random.default_rng((options.seed, step))
        progress = min(1.0, (spent + time.monotonic() - start) / total)
        rate = options.rate * min(1, (step + 1) / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        for parameter in first_level:
            parameter.requires_grad_(step % FIRST_LEVEL_EVERY == 0)
        loss, log = step_loss(network, draw(scans[rng.integers(len(scans))], options.far, rng), rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        follow(average, network, min(AVERAGING, step / (step + 10)))
        step += 1
        recent.append(log)
        if step % 20 == 0:
            means = {key: round(float(np.mean([r[key] for r in recent if key in r])), 2)
                     for key in ("position", "match2", "match1", "match0", "mm2", "mm1", "mm0")}
            print(json.dumps({"step": step, "s": round(spent + time.monotonic() - start), **means}), flush=True)
            recent = []
        if step % 100 == 0:
            save()
    save()


if __name__ == "__main__":
    main()
