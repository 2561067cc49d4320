"""Trains the segmenter on a cache made by data.py.

`python -m segmenter.train CACHE STATE --steps 16000 --minutes 90 [--resume] [--export FILE]`

A step takes one crop. It saves as it goes and resumes; the learning rate falls to nothing over `--steps` steps of all runs.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from medlam.data import STRUCTURES
from medlam.train import export, follow
from segmenter.data import load, sound
from segmenter.examples import CROP, Examples
from segmenter.network import WIDTHS, Segmenter

AVERAGING = 0.998
"""Decay a step of the averaged weights, which are what is exported."""
ENTROPY_WEIGHT = 10
"""What cross entropy counts against overlap: a structure is a hundredth of a crop."""


def loss_of(logits, shares):
    """Cross entropy of what is known and 1 - soft Dice of the structures that are there; both [S, Z, Y, X]."""
    known = (shares >= 0).float()
    shares = shares.clamp(min=0)
    entropy = F.binary_cross_entropy_with_logits(logits, shares, weight=known, reduction="sum") / known.sum().clamp(min=1)
    inside = torch.sigmoid(logits) * known
    common, both = (inside * shares).sum((1, 2, 3)), inside.sum((1, 2, 3)) + shares.sum((1, 2, 3))
    there = shares.sum((1, 2, 3)) > 20
    overlap = (1 - (2 * common + 1) / (both + 1))[there]
    return ENTROPY_WEIGHT * entropy + (overlap.mean() if there.any() else 0)


def starts(length, edge):
    """Where windows begin so that they cover a length with at least half an edge in common."""
    count = max(1, math.ceil((length - edge) / (edge / 2)) + 1)
    return [round(n * max(0, length - edge) / max(1, count - 1)) for n in range(count)]


@torch.no_grad()
def inferred(network, volume, low, high):
    """Probabilities [S, z, y, x] of the voxels low..<high, windows averaged, those of a window's middle counting more."""
    size = np.maximum(high - low, CROP)
    image = torch.zeros(tuple(size))
    begin, end = np.maximum(low, 0), np.minimum(low + size, volume.shape)
    image[tuple(map(slice, begin - low, end - low))] = torch.from_numpy(volume[tuple(map(slice, begin, end))].astype(np.float32) / 255)
    ramps = [torch.minimum(torch.arange(n), torch.arange(n).flip(0)).float() + 1 for n in CROP]
    weight, device = ramps[0][:, None, None] * ramps[1][:, None] * ramps[2], next(network.parameters()).device
    total, weights = torch.zeros(len(STRUCTURES), *size), torch.zeros(tuple(size))
    for z in starts(size[0], CROP[0]):
        for y in starts(size[1], CROP[1]):
            for x in starts(size[2], CROP[2]):
                at = tuple(slice(first, first + edge) for first, edge in zip((z, y, x), CROP))
                total[(slice(None), *at)] += torch.sigmoid(network(image[at][None, None].to(device))[0]).cpu() * weight
                weights[at] += weight
    return (total / weights)[:, :high[0] - low[0], :high[1] - low[1], :high[2] - low[2]]


def validate(network, cases, count=8):
    """Mean Dice a structure on the 3 mm grid, within the slices that the clinic drew, over the first patients."""
    scores = {}
    for _, volume, structures in cases[:count]:
        low = np.min([s.first for s in structures.values()], 0) - 8
        high = np.max([s.first + s.share.shape for s in structures.values()], 0) + 8
        probabilities = inferred(network, volume, low, high).numpy()
        for n, name in enumerate(STRUCTURES):
            if name not in structures:
                continue
            structure = structures[name]
            truth = np.zeros(probabilities.shape[1:], bool)
            truth[tuple(map(slice, structure.first - low, structure.first - low + structure.share.shape))] = structure.share > 127
            slices = truth.any((1, 2))
            found, truth = probabilities[n, slices] > 0.5, truth[slices]
            scores.setdefault(name, []).append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    return {name: round(float(np.mean(values)), 3) for name, values in scores.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("state", type=Path, help="training state, for --resume")
    parser.add_argument("--minutes", type=float, default=90, help="wall clock of this run")
    parser.add_argument("--steps", type=int, default=16000, help="over all resumed runs; sets the learning rate's decay")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export", type=Path, help="also write the half precision weights here")
    parser.add_argument("--every", type=int, default=1000, help="steps between validations")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, ...")
    parser.add_argument("--workers", type=int, help="processes that make examples; one beside a CPU, else one a core")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--init", type=Path, help="begin with these exported weights")
    parser.add_argument("--sound", action="store_true", help="leave out the contours that are not what they are called")
    parser.add_argument("--plain", type=float, default=0, help="share of the examples that are neither turned nor recoloured")
    parser.add_argument("--widths", type=int, nargs=len(WIDTHS), default=WIDTHS, help="channels a level; the node's graph is of the default's")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    train, validation = load(options.cache / "segmenter-train.pt.xz"), load(options.cache / "segmenter-validation.pt.xz")
    train = sound(train) if options.sound else train
    network, average = Segmenter(options.widths).to(options.device), Segmenter(options.widths).to(options.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-3)
    done, minutes = 0, 0.0
    if options.resume:
        state = torch.load(options.state, weights_only=True, map_location=options.device)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done, minutes = state["steps"], state["minutes"]
    else:
        if options.init:
            network.load_state_dict({key: value.float() for key, value in torch.load(options.init, weights_only=True).items()})
        average.load_state_dict(network.state_dict())
    kind = torch.device(options.device).type
    workers = options.workers or (1 if kind == "cpu" else os.cpu_count())
    examples = iter(DataLoader(Examples(train, (options.seed, done), options.plain), batch_size=1, num_workers=workers, prefetch_factor=4))
    began, losses = time.monotonic(), []

    def save():
        parts = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(),
                 "steps": done, "minutes": minutes + (time.monotonic() - began) / 60}
        torch.save(parts, options.state.with_suffix(".new"))
        options.state.with_suffix(".new").replace(options.state)
        if options.export:
            export(average, options.export)

    while done < options.steps and time.monotonic() - began < options.minutes * 60:
        warm = min(1, (done + 1) / 200)
        optimizer.param_groups[0]["lr"] = options.rate * warm * (0.5 + 0.5 * math.cos(math.pi * done / options.steps)) + 1e-6
        image, shares = (part.to(options.device) for part in next(examples))
        # bfloat16 where the processor has it: twice as fast with AMX, equal in outcome.
        with torch.autocast(kind, dtype=torch.bfloat16):
            logits = network(image)
        loss = loss_of(logits[0].float(), shares[0])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        done += 1
        follow(average, network, min(AVERAGING, done / (done + 10)))
        losses.append(loss.item())
        if done % 100 == 0:
            print(json.dumps({"step": done, "seconds": round(time.monotonic() - began), "loss": round(float(np.mean(losses)), 4)}), flush=True)
            losses = []
        if done % options.every == 0:
            save()
            print(json.dumps({"step": done, "dice": validate(average, validation)}), flush=True)
    save()
    print(json.dumps({"step": done, "dice": validate(average, validation, len(validation))}), flush=True)


if __name__ == "__main__":
    main()
