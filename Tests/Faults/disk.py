"""Every write of receipt, of its database and of the node's start fails once, and from there on; and a disk that is really full."""
import errno
import json
import mmap
import os
import pathlib
import struct
import subprocess
import sys
import time

from harness import Node, Sender, make_series, shim

SETTINGS = "receiving: {minimumFreeMegabytes: 0, minimumFreePercent: 0, timeoutSeconds: 10}\ncompletion: {idleSeconds: 0.2, gapSeconds: 3600}"
SLICES = 5  # as few as make a stack


class Control:
    """The driver's side of struct control in shims/disk.c."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(40))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 40)

    def set(self, fails=0, error=0, lasts=False):
        self.memory[:] = struct.pack("<5Q", 0, fails, error, int(lasts), 0)

    def read(self):
        count, _, _, _, failed = struct.unpack("<5Q", self.memory[:])
        return count, failed


class Run:
    """One node whose writes fail, and what came of it."""

    def __init__(self, folder, program, library):
        folder.mkdir(parents=True)
        self.folder, self.control = folder, Control(folder / "control")
        (folder / "data").mkdir()
        self.node = Node(folder, program, SETTINGS, preload=library, environment={"FAULT_CONTROL": str(folder / "control"), "FAULT_FOLDER": str(folder / "data")})
        self.acknowledged, self.series, self.result = {}, 0, {"points": 0, "hit": 0, "refused": 0, "lost": 0, "deaths": 0, "stuck": 0, "unsound": 0}

    def send(self, files):
        sender = Sender("storescu", self.node.port, files, self.folder / "sender.log")
        sender.wait()
        answered = sender.acknowledged()
        self.acknowledged |= {uid: files[uid] for uid in answered}
        return answered

    def new_series(self):
        self.series += 1
        return make_series(self.folder / f"series-{self.series}", SLICES, 64)

    def settle(self, seconds=30):
        """Waits until every series is decided on, so that those writes are done too."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.node.rows("SELECT 1 FROM series WHERE state = 'receiving'"):
                return True
            time.sleep(0.05)
        return False

    def check(self):
        self.result["lost"] += len(self.node.lost(self.acknowledged))
        self.result["unsound"] += int(not self.node.is_sound())

    def finish(self, fault, begun):
        self.node.stop()
        bad = sum(self.result[key] for key in ("lost", "deaths", "stuck", "unsound"))
        return {"fault": fault} | self.result | {"seconds": round(time.monotonic() - begun), "ok": bad == 0 and self.result["points"] > 0}


def while_receiving(folder, program, library, every, error, lasts):
    begun, run = time.monotonic(), Run(folder, program, library)
    run.node.start()
    run.send(run.new_series())  # what is made once is there
    run.settle()
    run.control.set()
    run.send(run.new_series())
    run.settle()
    points = run.control.read()[0]
    for point in range(1, points + 1, every):
        files = run.new_series()
        run.control.set(point, error, lasts)
        answered = run.send(files)
        if not lasts:
            run.settle(2)
        run.result["points"] += 1
        run.result["hit"] += int(run.control.read()[1] > 0)
        run.result["refused"] += SLICES - len(answered)
        run.control.set()
        if not run.node.is_running():
            run.result["deaths"] += 1
            run.node.start()
        # The disk has room again: the same files are taken, and the series gets its job.
        if len(run.send(files)) != SLICES or not run.settle():
            run.result["stuck"] += 1
    run.check()
    return run.finish(f"{errno.errorcode[error]} {'from the n-th write on' if lasts else 'at the n-th write'}", begun)


def while_starting(folder, program, library, every):
    begun, run = time.monotonic(), Run(folder, program, library)
    run.node.start()
    run.send(run.new_series())
    run.settle()
    run.node.kill()
    run.control.set()
    run.node.start()
    points = run.control.read()[0]
    run.node.kill()
    for point in range(1, points + 1, every):
        run.control.set(point, errno.ENOSPC, True)
        run.node.start(wait=False)
        try:
            run.node.await_port(20)
        except RuntimeError:
            run.result["refused"] += 1  # it says why and ends
        run.result["points"] += 1
        run.result["hit"] += int(run.control.read()[1] > 0)
        if run.node.is_running():
            run.node.kill()
        run.control.set()
        try:
            run.node.start()
            run.check()
            run.node.kill()
        except RuntimeError:
            run.result["stuck"] += 1
    run.node.start()
    return run.finish("ENOSPC from the n-th write of a start on", begun)


def full(folder, program):
    """A file system of 16 MB of its own, filled by what is received; to be run where mounting is allowed."""
    begun = time.monotonic()
    run = Run(folder, program, None)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder / "data"], check=True)
    ballast = folder / "data/ballast"
    ballast.write_bytes(bytes(4 << 20))
    run.node.start()
    files = make_series(folder / "series-big", 40, 512)
    answered = run.send(files)
    run.result["points"], run.result["hit"], run.result["refused"] = 1, int(len(answered) < 40), 40 - len(answered)
    run.result["deaths"] += int(not run.node.is_running())
    run.check()
    ballast.unlink()
    again = dict(list(files.items())[len(answered):len(answered) + 4])
    run.result["stuck"] += int(len(run.send(again)) != len(again))
    run.check()
    return run.finish("a disk that is full", begun)


def run(program, folder, every=1):
    library = shim("disk", folder)
    results = [while_receiving(folder / f"{errno.errorcode[error]}-{lasts}", program, library, every, error, lasts)
               for error, lasts in ((errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False))]
    results.append(while_starting(folder / "starting", program, library, every))
    mounted = subprocess.run(["unshare", "--mount", sys.executable, __file__, program, folder / "full"], capture_output=True, text=True)
    if mounted.returncode == 0:
        results.append(json.loads(mounted.stdout.splitlines()[-1]))
    else:
        print(f"disk: no file system of its own can be mounted here ({mounted.stderr.strip().splitlines()[-1:]})")
    return results


if __name__ == "__main__":
    print(json.dumps(full(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[1]))))
