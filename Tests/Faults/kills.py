"""kill -9 at a random moment of receiving, again and again; senders send again what was not acknowledged, as modalities do."""
import concurrent.futures
import random
import threading
import time

from harness import Node, PythonSender, Sender, make_series

SLICES = 8
LONGEST_LIFE = 1.2  # seconds from the first sender's start to the kill


def lane(number, rounds, program, folder, seed):
    dice = random.Random(seed * 1000 + number)
    node = Node(folder / f"lane-{number}", program)
    sent, acknowledged, lost = {}, {}, set()
    unfinished = []  # series, of each the files, that no association has brought whole
    answers = 0
    for round_number in range(rounds):
        node.start(wait=False)
        if dice.random() < 0.1:  # while it recovers
            time.sleep(dice.uniform(0, 0.3))
            node.kill()
            node.start(wait=False)
        node.await_port()
        # Half a megabyte a slice now and then, so that a kill meets instances half way.
        files = make_series(node.folder / f"series-{round_number}", SLICES, dice.choice([32, 64, 512]))
        sent |= files
        unfinished.append(files)
        senders = []
        for index, files in enumerate(unfinished[-3:]):
            tool = dice.choice(["storescu", "dcmsend", "pynetdicom"])
            sender = PythonSender(node.port, files) if tool == "pynetdicom" else Sender(tool, node.port, files, node.folder / f"sender-{index}.log")
            senders.append((files, sender))
        time.sleep(dice.uniform(0, LONGEST_LIFE))
        node.kill()
        for files, sender in senders:
            sender.wait()
            for uid in sender.acknowledged():
                answers += 1
                acknowledged[uid] = files[uid]
        unfinished = [files for files in unfinished if not all(uid in acknowledged for uid in files)]
        if round_number % 10 == 9 or round_number == rounds - 1:
            node.start()
            lost |= set(node.lost(acknowledged))
            node.kill()
    # Everything once more, so that each series has an association that was released; then each must be processed, once.
    node.start()
    folders = sorted({path.parent for path in sent.values()})
    for directory in folders:
        files = {uid: path for uid, path in sent.items() if path.parent == directory}
        sender = Sender("storescu", node.port, files, node.folder / "last.log")
        sender.wait()
        acknowledged |= {uid: files[uid] for uid in sender.acknowledged()}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and node.rows("SELECT 1 FROM series WHERE state = 'receiving'"):
        time.sleep(0.2)
    lost |= set(node.lost(acknowledged))
    whole = [row[0] for row in node.rows("SELECT job FROM job_instance GROUP BY job HAVING count(*) = ?", SLICES)]
    result = {
        "rounds": rounds, "series": len(folders), "sent": len(sent), "acknowledgements": answers, "acknowledged": len(acknowledged), "lost": len(lost),
        "duplicated": len(node.duplicated()), "processed": len(whole), "unsound": int(not node.is_sound()),
    }
    node.stop()
    return result | {"deaths": node.died}


def run(rounds, program, folder, lanes=4, seed=1):
    begun = time.monotonic()
    share = [rounds // lanes + (n < rounds % lanes) for n in range(lanes)]
    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        results = list(pool.map(lambda n: lane(n, share[n], program, folder, seed), [n for n in range(lanes) if share[n] > 0]))
    total = {key: sum(result[key] for result in results) for key in results[0]}
    ok = total["lost"] == total["duplicated"] == total["deaths"] == total["unsound"] == 0 and total["processed"] == total["series"] and total["acknowledged"] == total["sent"]
    return {"fault": "kill -9"} | total | {"seconds": round(time.monotonic() - begun), "ok": ok}
