"""Fits the confidence of the trained segmenter's masks: the Dice to expect from what the network knows of them.

`python Training/calibrate.py REPORT` reads the scores of `medlsam-node evaluate --report REPORT` and prints the constants of
Sources/MedLSAM/Evidence.swift, and for thresholds (a template set's `leastConfidence`) what they would withhold. Fitted robustly, since
some of the clinic's contours are not what they are called; what is fitted to one patient is never judged on that patient.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

EVIDENCE = ("expectedDice", "stability")


def masks(report):
    """(case, structure, evidence, Dice within the contoured slices) of every mask that was made, given out or not."""
    for path in sorted(report.glob("draws/**/score.json")):
        score = json.loads(path.read_text())
        best = {}
        for structure in score["structures"]:
            if structure.get("mask") and all(key in structure["evidence"] for key in EVIDENCE):
                best[structure["name"]] = (structure["evidence"], max(structure["mask"]["dice"], best.get(structure["name"], (0, 0))[1]))
        for name, (evidence, dice) in best.items():
            yield score["caseName"], name, [1.0, *(evidence[key] for key in EVIDENCE)], dice


def fit(evidence, dice):
    return least_squares(lambda weights: evidence @ weights - dice, np.zeros(evidence.shape[1]), loss="soft_l1", f_scale=0.05).x


def main():
    cases, names, evidence, dice = map(np.array, zip(*masks(Path(sys.argv[1]))))
    expected = np.zeros(len(dice))
    for case in set(cases):
        others = cases != case
        expected[~others] = evidence[~others] @ fit(evidence[others], dice[others])
    print("constant, " + ", ".join(EVIDENCE), np.round(fit(evidence, dice), 2))
    for name in sorted(set(names)):
        mine = names == name
        poor, good = mine & (dice < 0.5), mine & (dice > 0.75)
        for threshold in (0.6, 0.65, 0.7, 0.75):
            print(f"{name:16} {threshold:4}: withheld {np.sum(expected[poor] < threshold)} of {poor.sum()} under 0.5, "
                  f"{np.sum(expected[good] < threshold)} of {good.sum()} over 0.75")


if __name__ == "__main__":
    main()
