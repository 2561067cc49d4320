"""Every write of receipt, of its database and of the node's start fails once, and from there on, and every read of a start once; a file that cannot be
read; and a disk that is really full."""
import errno
import json
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

from harness import Node, PythonSender, Sender, data_set_digest, make_series, shim

SETTINGS = "receiving: {minimumFreeMegabytes: 0, minimumFreePercent: 0, timeoutSeconds: 10}\ncompletion: {idleSeconds: 0.2, gapSeconds: 3600}"
SLICES = 5  # as few as make a stack


class Control:
    """The driver's side of struct control in shims/disk.c."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(48))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 48)

    def set(self, fails=0, error=0, lasts=False, reads=False):
        self.memory[:] = struct.pack("<6Q", int(reads), 0, fails, error, int(lasts), 0)

    def read(self):
        _, count, _, _, _, failed = struct.unpack("<6Q", self.memory[:])
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

    def kill_before_rows(self):
        """Kills the node while instances that it acknowledged have no rows yet."""
        while True:
            files = self.new_series()
            sender = PythonSender(self.node.port, files)
            while len(sender.acknowledged()) < SLICES - 1 and sender.thread.is_alive():
                time.sleep(0.001)
            self.node.kill()
            sender.wait()
            self.acknowledged |= {uid: files[uid] for uid in sender.acknowledged()}
            if self.node.lost(self.acknowledged):
                return
            self.node.start()

    def check(self):
        self.result["lost"] += len(self.node.lost(self.acknowledged))
        self.result["unsound"] += int(not self.node.is_sound())

    def finish(self, fault, begun):
        self.node.stop()
        bad = sum(self.result[key] for key in ("lost", "deaths", "stuck", "unsound"))
        return {"fault": fault} | self.result | {"seconds": round(time.monotonic() - begun), "ok": bad == 0 and self.result["points"] > 0}


def while_receiving(folder, program, library, every, error, lasts, reads):
    begun, run = time.monotonic(), Run(folder, program, library)
    run.node.start()
    run.send(run.new_series())  # what is made once is there
    run.settle()
    run.control.set(reads=reads)
    run.send(run.new_series())
    run.settle()
    points = run.control.read()[0]
    for point in range(1, points + 1, every):
        files = run.new_series()
        run.control.set(point, error, lasts, reads)
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
    return run.finish(f"{errno.errorcode[error]} {'from' if lasts else 'at'} the n-th {'read' if reads else 'write'}{' on' if lasts else ''}", begun)


def before_rows(folder, program, library):
    """A node that was killed while some of what it had acknowledged had no rows."""
    run = Run(folder, program, library)
    run.node.start()
    run.send(run.new_series())
    run.settle()
    run.kill_before_rows()
    return run


def while_starting(folder, program, library, every, error, lasts, reads):
    begun, run = time.monotonic(), before_rows(folder, program, library)
    left = folder / "left"
    shutil.copytree(run.node.data, left)
    run.control.set(reads=reads)
    run.node.start()
    points = run.control.read()[0]
    run.node.kill()
    for point in range(1, points + 1, every):
        shutil.rmtree(run.node.data)
        shutil.copytree(left, run.node.data)
        run.control.set(point, error, lasts, reads)
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
    return run.finish(f"{errno.errorcode[error]} {'from' if lasts else 'at'} the n-th {'read' if reads else 'write'} of a start{' on' if lasts else ''}", begun)


def unreadable(folder, program, library):
    """A file without a row that the disk does not give: the start keeps it for a person, who sends it in again."""
    begun, run = time.monotonic(), before_rows(folder, program, library)
    uid = run.node.lost(run.acknowledged)[0]
    digest = data_set_digest(run.acknowledged[uid])
    incoming = [path for path in (run.node.data / "incoming").iterdir() if path.stat().st_size and data_set_digest(path) == digest]
    run.node.environment["FAULT_UNREADABLE"] = incoming[0].name
    run.node.start()
    run.result["points"], run.result["hit"] = 1, int(run.node.lost(run.acknowledged) == [uid])
    kept = [json.loads(line) for line in (run.node.data / "unrecorded.jsonl").read_text().split("\n") if line]
    files = [run.node.data / one["path"] for one in kept]
    run.result["lost"] += int([one["sopInstanceUID"] for one in kept] != [uid]) + sum(data_set_digest(path) != digest for path in files)
    findings = run.node.findings()
    run.result["unsound"] += int([(one["problem"], one["sopInstanceUID"]) for one in findings] != [("notRecorded", uid)])
    run.result["stuck"] += int(run.send({uid: files[0]}) != [uid])
    run.settle()
    run.result["unsound"] += len(run.node.findings())
    run.check()
    return run.finish("a file of a start that cannot be read", begun)


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
    rest = dict(list(files.items())[len(answered):])
    # To the last byte, killed and started: it is there, takes nothing, and holds all that was acknowledged, with a row or without.
    filler = fill(folder / "data/filler")
    for _ in range(2):
        run.node.kill()
        run.node.start()
        run.result["stuck"] += len(run.send(dict(list(rest.items())[:1])))
        held = {data_set_digest(path) for part in ("incoming", "instances") for path in (folder / "data" / part).rglob("*") if path.is_file() and path.stat().st_size > 1000}
        run.result["lost"] += sum(data_set_digest(path) not in held for path in run.acknowledged.values())
        run.result["deaths"] += int(not run.node.is_running())
    # Once there is room every acknowledged instance gets its row, without another start, and more are taken.
    for file in (ballast, filler):
        file.unlink()
    again = dict(list(rest.items())[:4])
    deadline = time.monotonic() + 30
    while len(run.send(again)) != len(again) and time.monotonic() < deadline:
        time.sleep(0.2)
    run.result["stuck"] += int(time.monotonic() >= deadline)
    while run.node.lost(run.acknowledged) and time.monotonic() < deadline:
        time.sleep(0.1)
    run.check()
    return run.finish("a disk that is full", begun)


def fill(path):
    """Writes zeros until nothing more fits."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return path


def run(program, folder, every=1):
    library = shim("disk", folder)
    results = [while_receiving(folder / f"{errno.errorcode[error]}-{lasts}-{reads}", program, library, every, error, lasts, reads)
               for error, lasts, reads in ((errno.ENOSPC, False, False), (errno.ENOSPC, True, False), (errno.EIO, False, False), (errno.EIO, False, True))]
    results += [while_starting(folder / f"starting-{errno.errorcode[error]}", program, library, every, error, lasts, reads)
                for error, lasts, reads in ((errno.ENOSPC, True, False), (errno.EIO, False, True))]
    results.append(unreadable(folder / "unreadable", program, library))
    mounted = subprocess.run(["unshare", "--mount", sys.executable, __file__, program, folder / "full"], capture_output=True, text=True)
    if mounted.returncode == 0:
        results.append(json.loads(mounted.stdout.splitlines()[-1]))
    else:
        print(f"disk: no file system of its own can be mounted here ({mounted.stderr.strip().splitlines()[-1:]})")
    return results


if __name__ == "__main__":
    print(json.dumps(full(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[1]))))
