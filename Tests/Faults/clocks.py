"""The wall clock is set forwards and backwards while the node receives: no series may be closed too early, none never, and retention
may take nothing for older than it is."""
import mmap
import struct
import time

from harness import Node, Sender, make_series, shim

HOUR, YEAR = 3600, 365 * 86400
IDLE, GAP, SLICES = 1.0, 8.0, 8
SETTINGS = f"receiving: {{minimumFreeMegabytes: 1, minimumFreePercent: 0, timeoutSeconds: 30}}\ncompletion: {{idleSeconds: {IDLE}, gapSeconds: {GAP}}}\nretention: {{notContouredDays: 0.02}}"  # half an hour


class Clock:
    """The offset that shims/clock.c adds to the wall clock."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8)

    def set(self, seconds):
        self.memory[:] = struct.pack("<q", seconds)


def jobs(node):
    return node.rows("SELECT id FROM job")


def until(condition, seconds):
    """Seconds until a condition held; None when it did not."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if condition():
            return time.monotonic() - begun
        time.sleep(0.05)
    return None


class Run:
    """A node whose clock is set, and what it was sent, in order."""

    def __init__(self, folder, program, library):
        folder.mkdir(parents=True)
        self.folder, self.clock = folder, Clock(folder / "clock")
        self.node = Node(folder, program, SETTINGS, preload=library, environment={"FAULT_CLOCK": str(folder / "clock")})
        self.node.start()
        self.acknowledged, self.series, self.faults = {}, 0, []

    def new_series(self):
        self.series += 1
        return make_series(self.folder / f"series-{self.series}", SLICES, 32)

    def send(self, files, tool="storescu"):
        sender = Sender(tool, self.node.port, files, self.folder / "sender.log")
        sender.wait()
        self.acknowledged |= {uid: files[uid] for uid in sender.acknowledged()}

    def expect_job(self, when):
        """Waits for the newest series' job; seconds."""
        waited = until(lambda: len(jobs(self.node)) == self.series, 30)
        if waited is None:
            self.faults.append(f"never closed {when}")
        return waited

    def start_anew(self):
        """A node looks for what retention gives free when it starts."""
        self.node.stop()
        self.node.start()
        until(lambda: self.node.rows("SELECT 1 FROM instance WHERE deleted IS NOT NULL"), 2)


def jump(name, seconds, folder, program, library):
    begun = time.monotonic()
    run = Run(folder, program, library)
    run.send(run.new_series())
    run.expect_job("before")
    # A series but for two slices, by an association that was released: it has a gap and waits GAP seconds. The clock jumps meanwhile.
    files = run.new_series()
    uids = list(files)
    run.send({uid: files[uid] for uid in uids[:3] + uids[5:]})
    run.clock.set(seconds)
    if until(lambda: len(jobs(run.node)) == run.series, GAP / 2) is not None:
        run.faults.append("closed too early")
    # The rest comes: the series is whole, and quiet after IDLE seconds.
    run.send({uid: files[uid] for uid in uids[3:5]}, "dcmsend")
    closed = run.expect_job("while the clock was off")
    run.start_anew()
    # Back again, or on: another series must take no longer than the first.
    run.clock.set(0)
    run.send(run.new_series())
    run.expect_job("after the clock was put right")
    run.start_anew()
    node, files = run.node, 3 * SLICES
    if node.rows("SELECT 1 FROM instance WHERE deleted IS NOT NULL"):
        run.faults.append("deleted too early")
    if [row[0] for row in node.rows("SELECT series FROM job ORDER BY id")] != [1, 2, 3]:
        run.faults.append("jobs out of order")
    lost, twice = len(node.lost(run.acknowledged)), len(node.duplicated())
    node.stop()
    return {"fault": f"clock set {name}", "acknowledged": len(run.acknowledged), "lost": lost, "duplicated": twice, "closed after s": closed and round(closed, 1),
            "deaths": node.died, "found": ", ".join(run.faults) or "nothing", "seconds": round(time.monotonic() - begun),
            "ok": not run.faults and not lost and not twice and not node.died and len(run.acknowledged) == files}


def run(program, folder):
    library = shim("clock", folder)
    return [jump(name, seconds, folder / name.replace(" ", "-"), program, library)
            for name, seconds in (("an hour on", HOUR), ("an hour back", -HOUR), ("a year on", YEAR), ("a year back", -YEAR))]
