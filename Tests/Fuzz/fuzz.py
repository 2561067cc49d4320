#!/usr/bin/env python3
"""Builds the fuzz targets of Tests/Fuzz and runs them: `make fuzz`, and with few runs `make test`.

Each run starts from the committed corpus, so that every input that once broke something is tried again first. A crash, a leak, an
input that takes too long or too much memory ends a target with an error and leaves the input in the output folder.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CDCMTK, CGDCM = ROOT / "Sources/CDCMTK", ROOT / "Sources/CGDCM"
# As Package.swift links them. The distribution's libraries are not instrumented: within them the sanitizer sees what goes through
# its allocator and its copies of memcpy and the like, not every access.
DCMTK = ["dcmtls", "dcmnet", "dcmjpeg", "dcmdata", "oflog", "ofstd", "ssl", "crypto", "z"]
GDCM = ["gdcmMSFF", "gdcmDICT", "gdcmDSED", "gdcmIOD", "gdcmCommon", "openjp2"]
TARGETS = {
    "dataset": {"sources": CDCMTK.glob("*.cpp"), "libraries": DCMTK, "longest": 8192},
    "network": {"sources": CDCMTK.glob("*.cpp"), "libraries": DCMTK, "longest": 16384},
    "codestream": {"sources": [CDCMTK / "face.cpp", CDCMTK / "codecs.cpp", *CGDCM.glob("*.cpp")], "libraries": DCMTK + GDCM, "longest": 4096},
}
# `vptr` and `function` need type information that the libraries do not carry.
SANITIZERS = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize=vptr,function", "-fno-sanitize-recover=undefined"]
MEMORY_MB, UNIT_SECONDS = 1024, 120
# DCMTK asks for a value's claimed length, up to 4 GB, before it sees that the bytes are not there: address space that nobody touches.
# Here it is denied, and memory in use is what counts.
FUZZ_ENVIRONMENT = {
    "ASAN_OPTIONS": "quarantine_size_mb=64:allocator_may_return_null=1:max_allocation_size_mb=1024",
    "LSAN_OPTIONS": f"suppressions={HERE}/leaks.supp:print_suppressions=0",
}


def compiler():
    """The Swift toolchain's own clang++, which brings libFuzzer."""
    swift = shutil.which(os.environ.get("SWIFT", "swift")) or sys.exit("fuzz: swift is not on the PATH")
    return pathlib.Path(swift).resolve().parent / "clang++"


def build(name, folder):
    target, program = TARGETS[name], folder / f"fuzz-{name}"
    sources = [HERE / name / "target.cpp", *sorted(target["sources"])]
    newest = max(path.stat().st_mtime for path in [*sources, *HERE.glob("*.hpp"), *CDCMTK.rglob("*.h*"), *CGDCM.rglob("*.h*")])
    if not program.exists() or program.stat().st_mtime < newest:
        subprocess.run(
            [compiler(), "-std=c++17", "-O1", "-g", "-fno-omit-frame-pointer", "-fuse-ld=lld", *SANITIZERS, f"-I{CDCMTK}/include", f"-I{CGDCM}/include",
             *sources, "-o", program, *[f"-l{library}" for library in target["libraries"]]], check=True)
    return program


def run(name, program, runs, folder, seed):
    corpus, artifacts, log = folder / f"corpus-{name}", folder / f"artifacts-{name}", folder / f"fuzz-{name}.log"
    for path in (corpus, artifacts):
        path.mkdir(exist_ok=True)
    begun = time.monotonic()
    # What the codecs print on standard error, and what libFuzzer does, is of use only when something broke.
    with open(log, "w") as output:
        status = subprocess.run(
            [program, f"-runs={runs}", f"-seed={seed}", f"-max_len={TARGETS[name]['longest']}", f"-timeout={UNIT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}",
             "-malloc_limit_mb=8192", f"-artifact_prefix={artifacts}/", "-close_fd_mask=2", "-print_final_stats=1", corpus, HERE / name / "corpus"],
            stdout=output, stderr=output, env=os.environ | FUZZ_ENVIRONMENT).returncode
    text = log.read_text(errors="replace")
    stats = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", text)}
    found = sorted(path.name for path in artifacts.iterdir() if not path.name.startswith("slow-unit"))
    return {"target": name, "runs": stats.get("number_of_executed_units", 0), "seconds": round(time.monotonic() - begun), "peakMegabytes": stats.get("peak_rss_mb", 0),
            "found": found, "seed": seed, "ok": status == 0 and not found, "log": str(log)}


def mutator(name, runs, seed, folder, program):
    """A mutator that drives readers written in Swift, built by Swift Package Manager; see Tests/Fuzz/series and Tests/Fuzz/masks.

    libstdc++ keeps no frame pointers, so that only the slow unwinder tells whose a leak is: one run in a hundred looks for leaks.
    """
    log = folder / f"fuzz-{name}.log"
    begun = time.monotonic()
    sanitizer = FUZZ_ENVIRONMENT["ASAN_OPTIONS"]
    with open(log, "w") as output:
        for count, options in (max(runs // 100, 1), "fast_unwind_on_malloc=0"), (runs, "detect_leaks=0"):
            environment = os.environ | FUZZ_ENVIRONMENT | {"ASAN_OPTIONS": f"{sanitizer}:{options}"}
            status = subprocess.run([program, str(count), str(seed)], stdout=output, stderr=output, env=environment).returncode
            if status != 0:
                break
    lines = log.read_text(errors="replace").strip().splitlines()
    result = json.loads(lines[-1]) if status == 0 else {"runs": 0, "peakMegabytes": 0}
    return {"target": name, "runs": result["runs"], "seconds": round(time.monotonic() - begun), "peakMegabytes": result["peakMegabytes"],
            "found": [] if status == 0 else lines[-3:], "seed": seed, "ok": status == 0, "log": str(log), "outcomes": result.get("outcomes")}


MUTATORS = ["series", "masks"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000_000, help="executions a target")
    parser.add_argument("--targets", nargs="+", default=[*TARGETS, *MUTATORS], choices=[*TARGETS, *MUTATORS])
    parser.add_argument("--programs", type=pathlib.Path, help="the folder of fuzz-series and fuzz-masks, built from Tests/Fuzz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / ".local/fuzz", help="programs, grown corpora, findings, report.json")
    options = parser.parse_args()
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    def one(name):
        if name in MUTATORS:
            return mutator(name, options.runs, options.seed, folder, (options.programs or sys.exit("fuzz: --programs is missing")) / f"fuzz-{name}")
        return run(name, build(name, folder), options.runs, folder, options.seed)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(one, options.targets))
    (folder / "report.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"{'target':12}{'runs':>10}{'seconds':>9}{'peak MB':>9}  found")
    for result in results:
        print(f"{result['target']:12}{result['runs']:10}{result['seconds']:9}{result['peakMegabytes']:9}  {', '.join(result['found']) or 'nothing'}")
    for result in results:
        if not result["ok"]:
            print(f"fuzz: {result['target']} failed, see {result['log']}", file=sys.stderr)
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
