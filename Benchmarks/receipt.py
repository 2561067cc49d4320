#!/usr/bin/env python3
"""Measures receipt: the node as it ships beside DCMTK's storescp and dcmqrscp, Orthanc, and the disk alone. `make bench-receipt` runs it.

Every peer gets 300 CT instances of 0.5 MB on each of 1, 4 and 16 associations from DCMTK's storescu over loopback, each instance under
a UID of its own; the peers take turns, three runs, medians. Of the peers only the node answers success once instance, name and row
would survive a power cut. The disk alone: as many writers as associations put the same bytes into files of their own past the page
cache and fsync each, which is the floor of any receipt that loses nothing; least_receiver.py adds the network to it, with the bytes flushed
and with nothing kept: about what these senders leave for a receiver on these cores. A second table gives the processor time that each spends
on an instance, sender and kernel included, and the most that any receiver can reach that takes, digests and flushes: the cores over the sum of the
three. It counts all that the machine does, which must do nothing else. Over TLS, node and storescp show a certificate and ask for none.

Nothing is deleted before the end of a run (25 GB), and each peer's folder lies in another part of the disk: ext4 without a journal leaves
inodes alone for minutes after their deletion, and for each new file searches past all of them.

`memory` (`make bench-memory`) sends many instances over 32 associations and follows the node's resident memory.

A table goes to standard output, everything measured to .local/bench/receipt.json or memory.json.
"""
import argparse
import contextlib
import hashlib
import json
import mmap
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

from bench import ENVIRONMENT, LOCAL, NODE, ROOT, free_port, running, settings

WORK = LOCAL / "bench-receipt"
RESULTS = LOCAL / "bench"
SOURCES = WORK / "series"
CERTIFICATE, KEY = WORK / "certificate.pem", WORK / "key.pem"
SECURE = ["--anonymous-tls", "--add-cert-file", CERTIFICATE]  # how a sender calls over TLS
INSTANCES, ASSOCIATIONS, RUNS = 300, (1, 4, 16), 3
# What the node's rate is held against: issue 4's goals, in rates of storescp on as many associations, and of the disk alone.
GOALS, DISK_GOAL = {1: 1.0, 4: 1.5, 16: 2.0}, 0.9
MEMORY_ASSOCIATIONS, MEMORY_GOAL_MEGABYTES, WAITING_SECONDS = 32, 100, 20


@contextlib.contextmanager
def node(folder):
    port = free_port()
    command = [NODE, "serve", "--config", settings(folder, port)]
    with running(command, "MEDLSAM", port, folder / "log") as process:
        yield process, "MEDLSAM", port, lambda: files(folder / "data/instances")


@contextlib.contextmanager
def secure_node(folder):
    port, secure = free_port(), free_port()
    file = settings(folder, port)
    with file.open("a") as more:
        more.write(f"tls: {{port: {secure}, certificate: {CERTIFICATE}, key: {KEY}, trusted: {CERTIFICATE}, peerCertificate: none}}\n")
    with running([NODE, "serve", "--config", file], "MEDLSAM", port, folder / "log") as process:
        yield process, "MEDLSAM", secure, lambda: files(folder / "data/instances")


@contextlib.contextmanager
def secure_storescp(folder):
    port, storage = free_port(), folder / "storage"
    storage.mkdir(parents=True)
    command = ["storescp", "--bit-preserving", "+tls", KEY, CERTIFICATE, "--ignore-peer-cert", "-od", storage, port]
    with running(command, "STORESCP", port, folder / "log", *SECURE) as process:
        yield process, "STORESCP", port, lambda: files(storage)


@contextlib.contextmanager
def storescp(folder, *options):
    port, storage = free_port(), folder / "storage"
    storage.mkdir(parents=True)
    with running(["storescp", "--bit-preserving", *options, "-od", storage, port], "STORESCP", port, folder / "log") as process:
        yield process, "STORESCP", port, lambda: files(storage)


@contextlib.contextmanager
def dcmqrscp(folder):
    port, storage = free_port(), folder / "storage"
    storage.mkdir(parents=True)
    (folder / "dcmqrscp.cfg").write_text(f"""
NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 64
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMQRSCP {storage} RW (1000000, 100000000mb) ANY
AETable END
""")
    with running(["dcmqrscp", "-c", folder / "dcmqrscp.cfg"], "DCMQRSCP", port, folder / "log") as process:
        yield process, "DCMQRSCP", port, lambda: files(storage) - 1  # its index


@contextlib.contextmanager
def orthanc(folder):
    port, storage = free_port(), folder / "storage"
    storage.mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps({
        "StorageDirectory": str(storage), "IndexDirectory": str(folder), "DicomAet": "ORTHANC", "DicomPort": port, "HttpServerEnabled": False,
        "DicomAlwaysAllowStore": True, "DicomAlwaysAllowEcho": True, "DicomThreadsCount": 32, "Plugins": []}))
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"  # Debian installs it where only root's PATH leads
    with running([program, folder / "orthanc.json"], "ORTHANC", port, folder / "log") as process:
        yield process, "ORTHANC", port, lambda: None


@contextlib.contextmanager
def least_receiver(folder, *storage):
    port = free_port()
    folder.mkdir(parents=True)
    for path in storage:
        path.mkdir()
    with running([sys.executable, ROOT / "Benchmarks/least_receiver.py", port, *storage], "LEAST", port, folder / "log") as process:
        yield process, "LEAST", port, lambda: files(*storage) if storage else None


PEERS = {
    "medlsam-node": node,
    "storescp": storescp,
    "storescp --fork": lambda folder: storescp(folder, "--fork"),
    "dcmqrscp": dcmqrscp,
    "Orthanc": orthanc,
    "least receiver": least_receiver,
    "least durable receiver": lambda folder: least_receiver(folder, folder / "storage"),
    "medlsam-node, TLS": secure_node,
    "storescp, TLS": secure_storescp,
}


def make_certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench", "-keyout", KEY, "-out", CERTIFICATE],
                   check=True, stderr=subprocess.DEVNULL)


def receipt_series(folder, rows=512):
    """Instances of `rows` x `rows` of noise with a gap between slices, so that they are received and never contoured."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
    folder.mkdir(parents=True)
    study, series, frame = (generate_uid() for _ in range(3))
    noise = np.random.default_rng(0)
    for k in range(INSTANCES):
        d = Dataset()
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.StudyID, d.SeriesNumber, d.InstanceNumber = "1", 1, k + 1  # storescu counts these on as it invents UIDs
        d.PatientName, d.PatientID, d.Modality, d.ImageType = "BENCH", "BENCH", "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.Rows = d.Columns = rows
        d.PixelSpacing, d.ImageOrientationPatient = [1, 1], [1, 0, 0, 0, 1, 0]
        d.ImagePositionPatient = [0, 0, k if k < INSTANCES // 2 else 5000 + k]
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 1
        d.BitsAllocated, d.BitsStored, d.HighBit, d.RescaleSlope, d.RescaleIntercept = 16, 16, 15, 1, 0
        d.PixelData = noise.integers(-1000, 1000, (rows, rows), dtype=np.int16).tobytes()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.save_as(folder / f"{k:04}.dcm", enforce_file_format=True)


def files(folder):
    return sum(1 for path in folder.rglob("*") if path.is_file())


def senders(title, port, associations, *options):
    """Starts storescu on each association; it sends every instance under a new UID."""
    command = ["storescu", "-aec", title, "+II", *options, "127.0.0.1", str(port), "+sd", str(SOURCES)]
    return [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(associations)]


def busy():
    """Seconds that all processors have worked since the machine began."""
    user, nice, system, _, _, interrupts, soft = map(int, open("/proc/stat").readline().split()[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def rate(peer, associations, run):
    """Instances/s of a peer and ms of a processor an instance, or None where it lost some or broke off."""
    folder = WORK / f"{peer.replace(' ', '')}-{associations}-{run}"
    total = associations * INSTANCES
    with PEERS[peer](folder) as (_, title, port, kept):
        begun, before = time.monotonic(), busy()
        statuses = [sender.wait() for sender in senders(title, port, associations, *(SECURE if peer.endswith("TLS") else []))]
        seconds, worked = time.monotonic() - begun, busy() - before
        lost = total - (total if kept() is None else kept())
    if any(statuses) or lost:
        print(f"receipt: {peer} on {associations}: {lost} of {total} lost, {sum(map(bool, statuses))} senders failed", file=sys.stderr)
        return None
    return total / seconds, 1000 * worked / total


def disk_rate(writers):
    """The same of files of an instance's size that this disk takes, each flushed, from so many writers."""
    size, folder = SOURCES.joinpath("0000.dcm").stat().st_size, WORK / f"disk-{writers}"
    folder.mkdir()
    blocks = mmap.mmap(-1, (size + 4095) // 4096 * 4096)  # O_DIRECT wants whole blocks of aligned memory
    blocks.write(os.urandom(len(blocks)))

    def write(writer):
        for n in range(INSTANCES):
            file = os.open(folder / f"{writer}-{n}", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
            os.write(file, blocks)
            os.fsync(file)
            os.close(file)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    begun, before = time.monotonic(), busy()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, worked = time.monotonic() - begun, busy() - before
    return writers * INSTANCES / seconds, 1000 * worked / (writers * INSTANCES)


def digest_milliseconds(count=200):
    """Of a processor, for the SHA-256 of an instance."""
    instance = SOURCES.joinpath("0000.dcm").read_bytes()
    begun = time.process_time()
    for _ in range(count):
        hashlib.sha256(instance).digest()
    return 1000 * (time.process_time() - begun) / count


def measure(arguments):
    peers = [peer for peer in PEERS if peer in arguments.peers]
    rates, work = ({str(n): {name: [] for name in [*peers, "disk alone"]} for n in arguments.associations} for _ in range(2))
    for run in range(arguments.runs):
        for n in arguments.associations:
            for peer in [*peers, "disk alone"]:
                measured = rate(peer, n, run) if peer in PEERS else disk_rate(n)
                for kind, value in zip((rates, work), measured or (None, None)):
                    kind[str(n)][peer].append(value)
        for folder in {*WORK.glob(f"*-{run}"), *WORK.glob("disk-*")}:
            shutil.rmtree(folder)
        os.sync()
    report = {"instances an association": INSTANCES, "megabytes an instance": 0.5, "rates": rates, "milliseconds": work, "medians": {}, "ratios": {}}
    print(f"| associations | {' | '.join(rates[str(arguments.associations[0])])} | of storescp (goal) | of storescp on one | of the disk (goal) | of the least durable |")
    print(f"|---|{'---|' * (len(peers) + 5)}")
    for n in arguments.associations:
        medians = {peer: None if None in values else statistics.median(values) for peer, values in rates[str(n)].items()}
        report["medians"][n] = medians
        ours = medians.get("medlsam-node")
        others = medians | {"storescp on one": report["medians"].get(1, {}).get("storescp")}
        ratios = {peer: ours / value for peer, value in others.items() if ours and value and peer != "medlsam-node"}
        report["ratios"][n] = ratios
        cells = ["lost some" if value is None else f"{value:.0f}/s" for value in medians.values()]
        held_against = {"storescp": f" ({GOALS.get(n, '-')})", "storescp on one": "", "disk alone": f" ({DISK_GOAL})", "least durable receiver": ""}
        cells += [f"{ratios[peer]:.2f}{goal}" if peer in ratios else "-" for peer, goal in held_against.items()]
        print(f"| {n} | {' | '.join(cells)} |")
    print_work(report, arguments.associations)
    write(report, "receipt.json")


def print_work(report, associations):
    digest, cores, columns = digest_milliseconds(), os.cpu_count(), report["milliseconds"][str(associations[0])]
    print(f"\nms of a processor an instance, of {cores}; SHA-256 {digest:.2f}")
    print(f"| associations | {' | '.join(columns)} | at most, taken, digested and flushed | storescp (goal) | disk alone (goal) |")
    print(f"|---|{'---|' * (len(columns) + 3)}")
    for n in associations:
        work = {peer: None if None in values else statistics.median(values) for peer, values in report["milliseconds"][str(n)].items()}
        least, rates = work.get("least receiver"), report["medians"][n]
        most = 1000 * cores / (least + digest + work["disk alone"]) if least else None
        report.setdefault("at most", {})[n] = most
        goals = {peer: goal * rates[peer] for peer, goal in (("storescp", GOALS.get(n)), ("disk alone", DISK_GOAL)) if goal and rates.get(peer)}
        cells = ["-" if value is None else f"{value:.2f}" for value in work.values()] + ["-" if most is None else f"{most:.0f}/s"]
        cells += [f"{goals[peer]:.0f}/s" if peer in goals else "-" for peer in ("storescp", "disk alone")]
        print(f"| {n} | {' | '.join(cells)} |")


def resident_megabytes(pid):
    """Memory that is the process's own, and the peak of all it has resident: the pages of its program file come and go."""
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    return int(fields["RssAnon"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024


def memory(arguments):
    repeat = -(-arguments.instances // (MEMORY_ASSOCIATIONS * INSTANCES))
    folder, samples = WORK / "memory", []
    with node(folder) as (process, title, port, kept):
        begun = time.monotonic()
        options = ["--repeat", str(repeat), "+IR", str(INSTANCES), "+IS", "1"]  # a new series and study after 300 instances
        sending = senders(title, port, MEMORY_ASSOCIATIONS, *options)

        def follow(goes_on):
            while goes_on():
                samples.append((time.monotonic() - begun, *resident_megabytes(process.pid)))
                time.sleep(0.2)

        follow(lambda: any(sender.poll() is None for sender in sending))
        seconds, count = time.monotonic() - begun, kept()
        received = len(samples)
        # Every series waits for what is missing in it, and is looked at again and again.
        follow(lambda: time.monotonic() - begun < seconds + WAITING_SECONDS)
        failed = sum(sender.returncode != 0 for sender in sending)
    half = received // 2
    parts = samples[half // 2:half + 1], samples[received - half // 2 - 1:received], samples[received:]
    middle, end, waiting = (max(sample[1] for sample in part) for part in parts)
    report = {"associations": MEMORY_ASSOCIATIONS, "instances": count, "failed senders": failed, "seconds": seconds, "samples": samples,
              "peak megabytes": samples[-1][2], "own, second quarter": middle, "own, last quarter": end,
              "own, waiting": waiting}
    print(f"memory: {count} instances over {MEMORY_ASSOCIATIONS} associations in {seconds:.0f} s ({count / seconds:.0f}/s), {failed} senders failed")
    print(f"memory: own memory {middle:.0f} MB in the second quarter, {end:.0f} MB in the last, {waiting:.0f} MB while its series waited; peak resident {samples[-1][2]:.0f} MB "
          f"(goal: flat, under {MEMORY_GOAL_MEGABYTES} MB)")
    write(report, "memory.json")


def write(report, name):
    RESULTS.mkdir(parents=True, exist_ok=True)
    report["cores"] = os.cpu_count()
    (RESULTS / name).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    rates = commands.add_parser("rates")
    rates.add_argument("--associations", type=int, nargs="+", default=ASSOCIATIONS)
    rates.add_argument("--runs", type=int, default=RUNS)
    rates.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    memories = commands.add_parser("memory")
    memories.add_argument("--instances", type=int, default=100_000)
    memories.add_argument("--rows", type=int, default=512, help="of each instance's image, for a disk that does not hold 50 GB")
    arguments = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    subprocess.run(["chattr", "+T", WORK], stderr=subprocess.DEVNULL)  # its folders are spread over the disk, where the file system can
    receipt_series(SOURCES, getattr(arguments, "rows", 512))
    make_certificate()
    {"rates": measure, "memory": memory}[arguments.command](arguments)
    shutil.rmtree(WORK)
