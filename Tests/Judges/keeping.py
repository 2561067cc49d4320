"""Takes a node's data folder away from it, mounts it back, fills it, writes protects it: what mounts can do to a node, in a mount
namespace of its own. Peers are pynetdicom; the database is read by Python's sqlite3.

    unshare -m --propagation private python keeping.py NODE SETTINGS FOLDER FILE...

FOLDER/data is the data folder of SETTINGS. Ends with status 0 and a line a step, or 1 at the first that fails.
"""
import atexit, os, re, shutil, sqlite3, subprocess, sys, time

import pydicom, pynetdicom

node, settings, folder, files = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
data, spare, log = (os.path.join(folder, name) for name in ("data", "spare", "node.log"))
port = int(re.search(r"^port: (\d+)", open(settings).read(), re.M)[1])
running = None
atexit.register(lambda: running and running.kill())


def run(*command):
    subprocess.run(command, check=True)


def expect(what, condition, detail=""):
    print(("ok      " if condition else "FAILED  ") + what, detail if not condition else "", flush=True)
    if not condition:
        print(open(log).read()[-3000:])
        sys.exit(1)


def store(path):
    """The status of a C-STORE, or None when there is no association; its Error Comment stays in `store.comment`."""
    dataset = pydicom.dcmread(path)
    entity = pynetdicom.AE("CT1")
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="MEDLSAM")
    if not association.is_established:
        return None
    response = association.send_c_store(dataset)
    association.release()
    store.comment = response.get("ErrorComment", "")
    return response.get("Status")


def eventually(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            expect(what, False)
        time.sleep(0.1)
    expect(what, True)


def serve():
    global running
    with open(log, "a") as output:
        running = subprocess.Popen([node, "serve", "--config", settings], stdout=output, stderr=output)

    def answers():
        return running.poll() is None and subprocess.run(
            ["echoscu", "-to", "2", "127.0.0.1", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    eventually("the node answers", answers)


def stop():
    running.terminate()
    expect("the node stops in good order", running.wait(30) == 0)


def fails(words):
    """Starts the node, which is to end at once with cannotCreate and say so."""
    result = subprocess.run([node, "serve", "--config", settings], capture_output=True, text=True, timeout=30)
    expect(f"the start fails: {words}", result.returncode == 73 and words in result.stderr, f"{result.returncode} {result.stderr}")


def rows():
    with sqlite3.connect(f"file:{data}/node.sqlite?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM instance WHERE state = 'current'").fetchone()[0]


def doctor():
    result = subprocess.run([node, "doctor", "--data", "--config", settings], capture_output=True, text=True)
    expect("doctor --data finds nothing", result.returncode == 0, result.stdout + result.stderr)


os.makedirs(data)
os.makedirs(spare)
run("mount", "-t", "tmpfs", "-o", "size=48m", "node", data)
run("mount", "--bind", data, spare)

# Taken away under the running node, and brought back.
serve()
expect("an instance is stored", store(files[0]) == 0)
run("umount", "-l", data)
expect("without its folder the node answers 0xA700", store(files[1]) == 0xA700)
expect("nothing was written into the empty mount point", os.listdir(data) == [])
expect("the log says why", "no longer mounted" in open(log).read())
run("mount", "--bind", spare, data)
expect("it recovers when the folder is back", store(files[1]) == 0)
eventually("all is in the database", lambda: rows() == 2)

# Full, and room again.
filler = os.path.join(data, "filler")


def fill():
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


fill()
expect("on a full disk the node answers 0xA700", store(files[2]) == 0xA700)
expect("and says so in words", "no room" in store.comment)
expect("no half file stays", not any(file.stat().st_size for file in os.scandir(os.path.join(data, "incoming"))))
os.remove(filler)
expect("with room it takes it", store(files[2]) == 0)
doctor()
stop()

# At the start: write protected, gone, exchanged.
run("mount", "-o", "remount,ro,bind", data)
fails("Read-only file system")
run("mount", "-o", "remount,rw,bind", data)
run("umount", data)
fails("is not the data folder that a node has run in here")
expect("nothing was written into the empty mount point", os.listdir(data) == [])
run("mount", "--bind", spare, data)
fill()
serve()
expect("started on a full disk the node answers 0xA700", store(files[3]) == 0xA700 and "no room" in store.comment)
os.remove(filler)
eventually("with room it goes on by itself", lambda: store(files[3]) == 0)
doctor()

# Back on another file system while the node runs: only a new start can help, and the node ends so that its supervisor makes one.
run("mount", "-t", "tmpfs", "-o", "size=48m", "other", data)
for name in os.listdir(spare):
    source = os.path.join(spare, name)
    (shutil.copytree if os.path.isdir(source) else shutil.copy2)(source, os.path.join(data, name))
expect("it ends with cannotCreate", running.wait(30) == 73)
expect("and says why", "the node must start anew" in open(log).read())
serve()
expect("the new start works on the new file system", store(files[3]) == 0)
eventually("with all that came before", lambda: rows() == 4)
doctor()
stop()
