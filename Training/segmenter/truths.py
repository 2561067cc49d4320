"""Which of the clinics' contours are not what they are called, by rules that ask no network.

`python -m segmenter.truths OPENKBP` writes segmenter/excluded.json: patient -> structure -> why. Usual is the median of the training patients.
`python -m segmenter.truths OPENKBP REPORT` also prints the Dice that `medlsam-node evaluate --report REPORT` found, with and without them,
the cases' folders having the archives' names.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from medlam.data import STRUCTURES, to_network_axes

AIR_HU, BRAIN_HU = -300, (0, 80)


def measured(path):
    """Structure -> what the rules look at, for those with a voxel."""
    with np.load(path) as archive:
        stored, labels, spacing = to_network_axes(archive["ct"]), to_network_axes(archive["lab"]), archive["vox"][[2, 0, 1]]
    hu = np.where(stored > 0, stored.astype(int) - 1000, -1000)
    area = (stored > 200).sum((1, 2))
    whole = np.nonzero(area > np.median(area[area > 0]) / 2)[0]
    found = {}
    for bit, name in enumerate(STRUCTURES):
        mask = (labels >> bit & 1).astype(bool)
        if not mask.any():
            continue
        voxels = np.argwhere(mask)
        found[name] = {
            "cm3": len(voxels) * spacing.prod() / 1000,
            "mm": (voxels.max(0) + 1 - voxels.min(0)) * spacing,
            "cut": voxels[:, 0].min() <= whole[0] + 1 or voxels[:, 0].max() >= whole[-1] - 1,
            "above": (whole[-1] - voxels[:, 0].max()) * spacing[0],
            "mm2": np.median(mask.sum((1, 2))[mask.any((1, 2))]) * spacing[1] * spacing[2],
            "hu": np.median(hu[mask]),
            "air": np.mean(hu[mask] < AIR_HU),
            "shared": max(np.mean(labels[mask] >> other & 1) for other in range(len(STRUCTURES)) if other != bit),
        }
    return found


def doubt(name, of, usual):
    """Why a structure is not what it is called, or None."""
    volume = of["cm3"] / usual[name]["cm3"]
    if volume > 3 or volume < 1 / 3 and not of["cut"]:
        return f"{volume:.2g} of the usual volume"
    if name in ("Brainstem", "SpinalCord") and not BRAIN_HU[0] < of["hu"] < BRAIN_HU[1]:
        return f"{of['hu']:.0f} HU: not nervous tissue"
    if name == "SpinalCord" and of["mm2"] > 1.9 * usual[name]["mm2"]:
        return f"{of['mm2'] / usual[name]['mm2']:.1f} of the usual cross-section: the canal or more"
    if name == "Brainstem" and of["mm"][0] <= 40 and of["above"] >= 30:
        return f"ends after {of['mm'][0]:.0f} mm, {of['above']:.0f} mm below the end of the scan: a part"
    if name == "Brainstem" and max(of["mm"][1:]) < 24:
        return f"{of['mm'][1]:.0f} x {of['mm'][2]:.0f} mm at its widest: half a brain stem"
    if name != "Larynx" and of["air"] > (0.3 if name == "Esophagus" else 0.2):
        return f"{of['air']:.0%} air"
    if of["shared"] > 0.1:
        return f"{of['shared']:.0%} of it is drawn as another structure"
    return None


def doubts(source):
    """Patient -> structure -> why, for all patients."""
    patients = {split: {path.stem: measured(path) for path in Path(source, split).glob("*.npz")} for split in ("train", "validation")}
    usual = {name: {key: np.median([found[name][key] for found in patients["train"].values() if name in found]) for key in ("cm3", "mm2")}
             for name in STRUCTURES}
    found = {patient: {name: why for name in structures if (why := doubt(name, structures[name], usual))}
             for patient, structures in sorted((patients["train"] | patients["validation"]).items(), key=lambda item: int(item[0][3:]))}
    return {patient: reasons for patient, reasons in found.items() if reasons}


def print_dice(report, excluded):
    """A row a method, structure and extent: Dice of all masks and of those with a sound truth, and how many are under 0.5."""
    masks = defaultdict(list)
    for path in sorted(Path(report).glob("draws/**/score.json")):
        score = json.loads(path.read_text())
        for structure in score["structures"]:
            dice = structure["mask"]["dice"] if structure.get("mask") else 0
            masks[score["method"], structure["name"], structure["extent"]].append(
                (dice, structure["state"] == "withheld", structure["name"] not in excluded.get(score["caseName"], ())))
    for key, rows in sorted(masks.items()):
        parts = []
        for kind, kept in (("all", rows), ("sound", [row for row in rows if row[2]])):
            dice, withheld = np.array([row[0] for row in kept]), np.array([row[1] for row in kept])
            poor, good = dice < 0.5, dice > 0.75
            parts.append(f"{kind} {len(kept)}: {dice.mean():.1%}, median {np.median(dice):.1%}, withheld {np.sum(poor & withheld)} of {poor.sum()} "
                         f"under 0.5, {np.sum(good & withheld)} of {good.sum()} over 0.75")
        print(*key, *parts, sep="; ")


if __name__ == "__main__":
    excluded = doubts(sys.argv[1])
    lines = ",\n".join(f"    {json.dumps(patient)}: {json.dumps(reasons)}" for patient, reasons in excluded.items())
    Path(__file__).with_name("excluded.json").write_text(f"{{\n{lines}\n}}\n")
    if len(sys.argv) > 2:
        print_dice(sys.argv[2], excluded)
