"""Peers that break off, lie, say nonsense or nothing; beside them a good sender must be served, and nothing of them may stay."""
import concurrent.futures
import os
import pathlib
import random
import socket
import struct
import sys
import threading
import time

from harness import Node, PythonSender, Sender, make_series

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Fuzz"))
from seeds import CT, EXPLICIT, IMPLICIT, associate, command, data, item, pdu  # noqa: E402

IDLE_SOCKETS = 500
STORE = data(1, 3, command(sop_class=CT, field=1, id=1, priority=0, data_set=0, instance=b"2.25.1"))
REQUEST = associate((CT, [EXPLICIT, IMPLICIT]))


def kinds(dice):
    """What a hostile peer sends before it leaves, each by its name."""
    noise = dice.randbytes(dice.randrange(1, 4096))
    return {
        "half a request": REQUEST[:dice.randrange(1, len(REQUEST))],
        "half a PDU": REQUEST + STORE + data(1, 0, noise)[:dice.randrange(7, len(noise) + 12)],
        "half a data set": REQUEST + STORE + data(1, 0, dice.randbytes(64 * 1024)),
        "random bytes": noise,
        "random bytes in a session": REQUEST + noise,
        "a request of 4 GB": struct.pack(">BBI", 1, 0, 0xFFFFFFF0) + REQUEST[6:],
        "a PDU of 4 GB": REQUEST + struct.pack(">BBIIBB", 4, 0, 0xFFFFFFFF, 0xFFFFFFFB, 1, 3) + noise,
        "a PDV of 4 GB": REQUEST + struct.pack(">BBIIBB", 4, 0, 20, 0xFFFFFFFF, 1, 3) + bytes(14),
        "a command without end": REQUEST + b"".join(data(1, 1, dice.randbytes(4000)) for _ in range(20)),
        "contexts of nonsense": associate(*[(dice.randbytes(8), [dice.randbytes(8)]) for _ in range(128)]) + STORE,
        "items that lie": pdu(1, REQUEST[6:] + item(0x50, b"\x52\0\0\xc8\1\2\3")),
        "a data set for nothing": REQUEST + data(1, 2, noise) + pdu(5, bytes(4)),
        "an answer": pdu(2, REQUEST[6:]),
        "HTTP": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    }


def attack(number, port, seed):
    """One hostile peer; returns what it was, and whether it ended by reset, close or after the answer."""
    dice = random.Random(seed + number)
    name, content = dice.choice(sorted(kinds(dice).items()))
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.settimeout(5)
            peer.sendall(content)
            end = dice.randrange(3)
            if end == 0:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
            elif end == 1:
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
    except OSError:
        pass  # the node closed first
    return name


def use(pid):
    """Threads, descriptors and megabytes of memory of a process."""
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return {"threads": int(status["Threads"]), "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "megabytes": int(status["VmRSS"].split()[0]) >> 10}


def settled(node):
    """Its use once all peers' threads are gone."""
    before = use(node.process.pid)
    for _ in range(150):
        time.sleep(0.2)
        now = use(node.process.pid)
        if now["threads"] >= before["threads"] and now["descriptors"] >= before["descriptors"]:
            return now
        before = now
    return before


def run(count, program, folder, seed=1):
    begun = time.monotonic()
    node = Node(folder, program, "receiving: {minimumFreeMegabytes: 1, minimumFreePercent: 0, timeoutSeconds: 5, maximumAssociations: 64}\n"
                                 "completion: {idleSeconds: 0.3, gapSeconds: 3600}\naccess: {requestTimeoutSeconds: 5}")
    node.start()
    good = {"sent": 0, "refused": 0, "slowest": 0.0}
    acknowledged, over = {}, threading.Event()

    def good_sender():
        number = 0
        while not over.is_set():
            files = make_series(folder / f"series-{number}", 6, 64)
            started = time.monotonic()
            sender = PythonSender(node.port, files) if number % 5 == 4 else Sender("storescu", node.port, files, folder / "good.log")
            sender.wait()
            answered = sender.acknowledged()
            acknowledged.update({uid: files[uid] for uid in answered})
            good["slowest"] = max(good["slowest"], time.monotonic() - started)
            good["sent"] += len(files)
            good["refused"] += len(files) - len(answered)
            number += 1

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        # The first peers make what stays: pools of threads, caches, arenas of the allocator.
        list(pool.map(lambda n: attack(n, node.port, seed), range(max(100, count // 10))))
        before = settled(node)
        beside = threading.Thread(target=good_sender)
        beside.start()
        idle = [socket.create_connection(("127.0.0.1", node.port), 10) for _ in range(IDLE_SOCKETS)]
        names = list(pool.map(lambda n: attack(n, node.port, seed + 1_000_000), range(count)))
        for connection in idle:
            connection.close()
        over.set()
        beside.join()
    died = int(not node.is_running())
    after = settled(node) if not died else before
    lost = len(node.lost(acknowledged))
    sound = node.is_sound()
    node.stop()
    result = {
        "fault": "hostile peers", "peers": count, "kinds": len(set(names)), "sent beside": good["sent"], "refused": good["refused"],
        "slowest s": round(good["slowest"], 1), "lost": lost, "deaths": died, "threads": f"{before['threads']}>{after['threads']}",
        "descriptors": f"{before['descriptors']}>{after['descriptors']}", "MB": f"{before['megabytes']}>{after['megabytes']}",
        "seconds": round(time.monotonic() - begun),
    }
    # Memory may vary by what the allocator keeps; a leak of only 10 KB a peer would be 100 MB.
    leaks = after["threads"] > before["threads"] + 4 or after["descriptors"] > before["descriptors"] + 4 or after["megabytes"] > before["megabytes"] + 32
    return result | {"ok": not (lost or died or leaks or good["refused"] or not sound)}
