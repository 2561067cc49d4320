#!/usr/bin/env python3
"""Does the node harm and says what was lost: `make soak` runs it long, `make test` short. See docs/explanation/faults.md."""
import argparse
import importlib
import json
import pathlib
import shutil
import sys

from harness import LOCAL, ROOT, table

FAULTS = {"kills": "kill -9 under load", "disk": "failing writes", "peers": "hostile peers", "clocks": "clocks that jump"}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", default=list(FAULTS), choices=[*FAULTS, []], help="all when none is named")
    parser.add_argument("--rounds", type=int, default=1000, help="rounds of kills; hostile peers are ten times as many")
    parser.add_argument("--every", type=int, default=1, help="fail each n-th write only, for a shorter run")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / ".build/release/medlsam-node")
    parser.add_argument("--output", type=pathlib.Path, default=LOCAL / "soak", help="data folders, logs and report.json")
    options = parser.parse_args()
    shutil.rmtree(options.output, ignore_errors=True)
    results = []
    for name in options.faults or FAULTS:
        folder = options.output.resolve() / name
        folder.mkdir(parents=True)
        run = importlib.import_module(name).run
        found = {"kills": lambda: [run(options.rounds, options.program, folder)],
                 "disk": lambda: run(options.program, folder, options.every),
                 "peers": lambda: [run(10 * options.rounds, options.program, folder)],
                 "clocks": lambda: run(options.program, folder)}[name]()
        table(found)
        print()
        results += found
    (options.output / "report.json").write_text(json.dumps(results, indent=1) + "\n")
    bad = [result["fault"] for result in results if not result["ok"]]
    if bad:
        print(f"soak: {', '.join(bad)} failed; see {options.output}", file=sys.stderr)
    sys.exit(1 if bad else 0)
