"""The wall clock is set forwards and backwards while the node receives: no series may be closed too early, none never."""
import mmap
import struct
import time

from harness import Node, Sender, make_series, shim

HOUR, YEAR = 3600, 365 * 86400
IDLE, GAP, SLICES = 1.0, 8.0, 8
SETTINGS = f"receiving: {{minimumFreeMegabytes: 1, minimumFreePercent: 0, timeoutSeconds: 30}}\ncompletion: {{idleSeconds: {IDLE}, gapSeconds: {GAP}}}"


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


def jump(name, seconds, folder, program, library):
    begun = time.monotonic()
    folder.mkdir(parents=True)
    clock = Clock(folder / "clock")
    node = Node(folder, program, SETTINGS, preload=library, environment={"FAULT_CLOCK": str(folder / "clock")})
    node.start()
    faults = []
    # A series but for two slices, by an association that was released: it has a gap and waits GAP seconds. The clock jumps meanwhile.
    files = make_series(folder / "series", SLICES, 32)
    uids = list(files)
    most = {uid: files[uid] for uid in uids[:3] + uids[5:]}
    sender = Sender("storescu", node.port, most, folder / "sender.log")
    sender.wait()
    acknowledged = {uid: most[uid] for uid in sender.acknowledged()}
    clock.set(seconds)
    if until(lambda: jobs(node), GAP / 2) is not None:
        faults.append("closed too early")
    # The rest comes: the series is whole, and quiet after IDLE seconds.
    rest = {uid: files[uid] for uid in uids[3:5]}
    sender = Sender("dcmsend", node.port, rest, folder / "sender.log")
    sender.wait()
    acknowledged |= {uid: rest[uid] for uid in sender.acknowledged()}
    closed = until(lambda: jobs(node), 30)
    if closed is None:
        faults.append("never closed")
    # Back again, or on: another series must take no longer than the first.
    clock.set(0)
    again = make_series(folder / "again", SLICES, 32)
    sender = Sender("storescu", node.port, again, folder / "sender.log")
    sender.wait()
    acknowledged |= {uid: again[uid] for uid in sender.acknowledged()}
    if until(lambda: len(jobs(node)) == 2, 30) is None:
        faults.append("never closed after the clock was put right")
    lost, twice = len(node.lost(acknowledged)), len(node.duplicated())
    node.stop()
    return {"fault": f"clock set {name}", "acknowledged": len(acknowledged), "lost": lost, "duplicated": twice, "closed after s": closed and round(closed, 1),
            "deaths": node.died, "found": ", ".join(faults) or "nothing", "seconds": round(time.monotonic() - begun),
            "ok": not faults and not lost and not twice and not node.died and len(acknowledged) == 2 * SLICES}


def run(program, folder):
    library = shim("clock", folder)
    return [jump(name, seconds, folder / name.replace(" ", "-"), program, library)
            for name, seconds in (("an hour on", HOUR), ("an hour back", -HOUR), ("a year on", YEAR), ("a year back", -YEAR))]
