#!/usr/bin/env python3
"""Judges from a node's system calls whether a power cut could have cost an instance that it acknowledged.

power_cut.py cuts TRACE DATA_FOLDER OUT [--without file|folder|journal|row]
power_cut.py check OUT ORIGINALS

TRACE is what `strace -f -y -xx` wrote. `cuts` plays the calls into a model of a disk that keeps nothing that was not flushed: of a file
the bytes of its last fsync or fdatasync, or written by a descriptor opened with O_DSYNC; of a folder the entries of its last fsync; what
is under way counts as lost. After each flush and before each answer the disk as it would be found is written to OUT/NUMBER, with the
instances answered with success so far in OUT/NUMBER.acknowledged. `--without` plays the trace as if the flushes of received files, of
folders, of the journal or of the database's log had been forgotten.

Between the two a node recovers each folder, as it does when it starts. `check` then looks in each for every acknowledged instance: one
current row, and at its path the data set that ORIGINALS hold, byte for byte. Without one of the flushes it must find fault.

The last line tells the count of cuts and of instances acknowledged; status 1 when an instance was lost.
"""
import argparse
import hashlib
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import sys

SUCCESS, STORE_RESPONSE = 0x0000, 0x8001
CALL = re.compile(r"^(\d+) +(\w+)\((.*)$", re.S)
PATH, BACKSLASH_X = re.compile(r"<((?:\\x[0-9a-f]{2})+)>"), "\\x"
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.S)


class File:
    def __init__(self):
        self.now, self.kept = bytearray(), b""


class Disk:
    """Files and folders as programs see them, and as a power cut would leave them."""

    def __init__(self, root):
        self.root, self.names, self.kept, self.folders = root, {}, {}, {root}

    def open(self, path, flags):
        if path not in self.names:
            if "O_CREAT" not in flags:
                return None
            self.names[path] = File()
        elif "O_TRUNC" in flags:
            self.names[path].now = bytearray()
        return self.names[path]

    def flush_folder(self, folder):
        entries = {p: f for p, f in self.names.items() if os.path.dirname(p) == folder}
        self.kept = {p: f for p, f in self.kept.items() if os.path.dirname(p) != folder} | entries
        # A folder is a name in its parent.
        self.folders |= {f for f in self.subfolders if os.path.dirname(f) == folder}

    subfolders = set()

    def write_out(self, target):
        for path, file in self.kept.items():
            if self.reachable(os.path.dirname(path)):
                place = target / os.path.relpath(path, self.root)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.kept)

    def reachable(self, folder):
        return folder == self.root or folder in self.folders and self.reachable(os.path.dirname(folder))


def strings(arguments):
    return [bytes.fromhex(s.replace("\\x", "")) for s in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]


def calls(trace):
    """(begins, number, name, arguments, result) of each call: once when it begins (result None) and once when it returns."""
    waiting = {}
    for number, line in enumerate(open(trace, errors="replace")):
        line = PATH.sub(lambda match: f"<{bytes.fromhex(match.group(1).replace(BACKSLASH_X, '')).decode()}>", line.rstrip("\n"))
        if match := RESUMED.match(line):
            thread, name, rest = match.groups()
            start = waiting.pop(thread, None)
            if start:
                arguments = start + rest
                yield False, number, thread, name, arguments
        elif match := CALL.match(line):
            thread, name, arguments = match.groups()
            if arguments.endswith("<unfinished ...>"):
                waiting[thread] = arguments.removesuffix("<unfinished ...>").rstrip()
                yield True, number, thread, name, waiting[thread]
            else:
                yield True, number, thread, name, arguments
                yield False, number, thread, name, arguments


def result(arguments):
    match = re.search(r"= (-?\d+)[^=]*$", arguments)
    return int(match.group(1)) if match else -1


def descriptor(arguments):
    match = re.match(r"(\d+)<(.*?)>", arguments)
    return (int(match.group(1)), match.group(2)) if match else (None, "")


def responses(stream):
    """The (SOP instance, status) of each C-STORE response in the bytes a socket was given (PS3.8 9.3.5, PS3.7 9.3.1)."""
    at = 0
    while at + 6 <= len(stream):
        kind, length = stream[at], struct.unpack(">I", stream[at + 2:at + 6])[0]
        body, at = stream[at + 6:at + 6 + length], at + 6 + length
        if kind != 4 or len(body) < length:
            continue
        command, elements = body[6:], {}
        position = 0
        while position + 8 <= len(command):
            group, element, size = struct.unpack("<HHI", command[position:position + 8])
            elements[element] = command[position + 8:position + 8 + size]
            position += 8 + size
        if struct.unpack("<H", elements.get(0x0100, b"\0\0"))[0] == STORE_RESPONSE:
            yield elements[0x1000].rstrip(b"\0 ").decode(), struct.unpack("<H", elements[0x0900])[0]


def data_set(content):
    """What follows the file meta information (PS3.10 7.1)."""
    return content[144 + struct.unpack("<I", content[140:144])[0]:]


class Judge:
    def __init__(self, root, out, without):
        self.disk, self.root, self.out, self.without = Disk(root), root, pathlib.Path(out), without
        self.descriptors, self.sockets, self.flushing, self.synchronous = {}, {}, {}, set()
        self.acknowledged, self.cuts, self.last = set(), 0, None
        self.flushes = {"file": 0, "folder": 0, "journal": 0, "row": 0}

    def inside(self, path):
        return path == self.root or path.startswith(self.root + "/")

    def kind(self, path):
        """Which of the flushes that instances need this is; None for others (those of the start)."""
        if path.endswith("node.sqlite-wal"):
            return "row"
        if path.endswith("intake.journal"):
            return "journal"
        if path.startswith((self.root + "/instances", self.root + "/incoming")):
            return "folder" if path in self.disk.subfolders else "file"
        return None

    def begins(self, thread, name, arguments):
        number, path = descriptor(arguments)
        if name in ("fsync", "fdatasync"):
            file = self.descriptors.get(number)
            self.flushing[thread] = (path, file, bytes(file.now) if isinstance(file, File) else None)
        elif name in ("write", "send", "sendto") and path.startswith(("socket:", "TCP")):
            stream = self.sockets.setdefault(number, bytearray())
            before = dict.fromkeys(uid for uid, status in responses(stream) if status == SUCCESS)
            stream += strings(arguments)[0]
            news = [uid for uid, status in responses(stream) if status == SUCCESS and uid not in before]
            self.acknowledged |= set(news)
            if news:
                self.cut()

    def returns(self, thread, name, arguments):
        value = result(arguments)
        if value < 0:
            return
        number, path = descriptor(arguments)
        if name == "openat":
            opened = re.search(r"= (\d+)<(.*?)>(?:\(deleted\))?$", arguments)
            if opened and self.inside(opened.group(2)):
                handle = opened.group(2)
                known = handle in self.disk.subfolders or handle == self.root
                self.descriptors[int(opened.group(1))] = handle if known else self.disk.open(handle, arguments)
                self.synchronous = self.synchronous - {int(opened.group(1))} | ({int(opened.group(1))} if "O_DSYNC" in arguments else set())
        elif name == "close":
            self.descriptors.pop(number, None)
            self.sockets.pop(number, None)
        elif name in ("fsync", "fdatasync"):
            self.flushed(thread)
        elif isinstance(self.descriptors.get(number), File):
            self.written(self.descriptors[number], name, arguments, value)
            if number in self.synchronous:
                self.keep(path, self.descriptors[number], bytes(self.descriptors[number].now))
        else:
            self.renamed(name, [s.decode() for s in strings(arguments)] if name.startswith(("rename", "link", "unlink", "mkdir", "rmdir")) else [])

    def written(self, file, name, arguments, value):
        if name == "ftruncate":
            length = int(re.search(r", (\d+)\)", arguments).group(1))
            file.now = file.now[:length].ljust(length, b"\0")
        elif name == "pwrite64":
            offset = int(re.search(r", (\d+)\) += ", arguments).group(1))
            file.now = file.now.ljust(offset, b"\0")
            file.now[offset:offset + value] = strings(arguments)[0][:value]
        elif name == "write":
            file.now += strings(arguments)[0][:value]
        else:
            sys.exit(f"power_cut: {name} on a file is not understood")

    def renamed(self, name, paths):
        names = self.disk.names
        if not paths or not self.inside(paths[-1]):
            return
        if name.startswith("mkdir"):
            self.disk.subfolders = self.disk.subfolders | {paths[0]}
        elif name.startswith("unlink"):
            names.pop(paths[0], None)
        elif name.startswith("rename") and paths[0] in names:
            names[paths[1]] = names.pop(paths[0])
        elif name.startswith("link") and paths[0] in names:
            names[paths[1]] = names[paths[0]]

    def flushed(self, thread):
        path, file, content = self.flushing.pop(thread, ("", None, None))
        if file is not None:
            self.keep(path, file, content)

    def keep(self, path, file, content):
        kind = self.kind(path)
        if kind:
            self.flushes[kind] += 1
        if kind and kind == self.without:
            return
        if isinstance(file, File):
            file.kept = content
        else:
            self.disk.flush_folder(file)
        self.cut()

    def cut(self):
        """Writes out what a power cut would leave now, unless that is what it left before."""
        if not self.acknowledged:
            return
        state = sorted((path, hash(bytes(file.kept))) for path, file in self.disk.kept.items()), frozenset(self.acknowledged)
        if state == self.last:
            return
        self.last = state
        self.cuts += 1
        self.disk.write_out(self.out / str(self.cuts))
        (self.out / f"{self.cuts}.acknowledged").write_text("\n".join(self.acknowledged))


def missing(target, uid, digest):
    if not (target / "node.sqlite").exists():
        return "the database would be gone"
    database = sqlite3.connect(target / "node.sqlite")
    try:
        rows = database.execute("SELECT path FROM instance WHERE sop_instance_uid = ? AND state = 'current'", (uid,)).fetchall()
    except sqlite3.DatabaseError as error:
        return f"the database would say: {error}"
    finally:
        database.close()
    if len(rows) != 1:
        return f"{len(rows)} rows would name it"
    file = target / rows[0][0]
    if not file.exists():
        return "its file would be gone"
    content = file.read_bytes()
    if len(content) < 144 or hashlib.sha256(data_set(content)).hexdigest() != digest:
        return "its file would not be whole"


def cuts(arguments):
    judge = Judge(os.path.realpath(arguments.data), arguments.out, arguments.without)
    for begins, _, thread, name, text in calls(arguments.trace):
        (judge.begins if begins else judge.returns)(thread, name, text)
    print(f"cuts {judge.cuts}, acknowledged {len(judge.acknowledged)}, "
          + ", ".join(f"{kind} flushes {count}" for kind, count in judge.flushes.items()))


def check(arguments):
    digests, lost, acknowledged = {}, set(), set()
    for path in pathlib.Path(arguments.originals).iterdir():
        content = path.read_bytes()
        uid = re.search(rb"\x08\x00\x18\x00UI(..)", content[144:], re.S)
        size = struct.unpack("<H", uid.group(1))[0]
        name = content[144 + uid.end():144 + uid.end() + size].rstrip(b"\0 ").decode()
        digests[name] = hashlib.sha256(data_set(content)).hexdigest()
    lists = sorted(pathlib.Path(arguments.out).glob("*.acknowledged"))
    for file in lists:
        for uid in file.read_text().split():
            acknowledged.add(uid)
            if why := missing(file.with_suffix(""), uid, digests[uid]):
                print(f"power_cut: after cut {file.stem}, {uid} was acknowledged, but {why}")
                lost.add(uid)
    print(f"cuts {len(lists)}, acknowledged {len(acknowledged)}, lost {len(lost)}")
    sys.exit(1 if lost else 0)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("cuts")
    for name in ("trace", "data", "out"):
        first.add_argument(name)
    first.add_argument("--without", choices=["file", "folder", "journal", "row"])
    first.set_defaults(run=cuts)
    second = commands.add_parser("check")
    for name in ("out", "originals"):
        second.add_argument(name)
    second.set_defaults(run=check)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
