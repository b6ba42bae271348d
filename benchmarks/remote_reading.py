"""Reading of one chunk from an XRootD server far away: requests, and time against the round trip.

A local server stands behind a proxy that delays what it forwards. The columns of an analysis are
read column by column, as coffea does by default; all at once with coffea's ``preload``; and as
bphcoffea does, which asks for the traced branches at once when the first is used.

    python benchmarks/remote_reading.py FILE.root -o remote
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import uproot

from bphcoffea import load_analysis, reading, storage
from bphcoffea.processing import branch_needs
from bphcoffea.size_limits import basket_limit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from services.xrootd import server_folders, xrootd_server

TREE = "Tree3Mu/ntuple"
#: Bytes that are forwarded at once.
BLOCK = 1 << 20


class DelayingProxy:
    """Forwards connections on the loopback interface, each block half a round trip later."""

    def __init__(self, target_port, round_trip_s):
        self._target_port = target_port
        self._delay = round_trip_s / 2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target_port))
            for source, target in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                blocks = SimpleQueue()
                threading.Thread(target=self._take, args=(source, blocks), daemon=True).start()
                threading.Thread(target=self._give, args=(target, blocks), daemon=True).start()

    def _take(self, source, blocks):
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK):
                blocks.put((time.monotonic() + self._delay, block))
        blocks.put((time.monotonic() + self._delay, b""))

    def _give(self, target, blocks):
        with contextlib.suppress(OSError):
            while True:
                due, block = blocks.get()
                time.sleep(max(due - time.monotonic(), 0))
                if not block:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(block)


def column_by_column(url, names, stop):
    """Read each column when it is used, as coffea does by default."""
    with uproot.open({url: None}) as file:
        tree = file[TREE]
        for name in names:
            tree[name].array(entry_stop=stop)


def preloaded(url, names, stop):
    """Read all columns at once, as coffea's ``preload`` does."""
    with uproot.open({url: None}) as file:
        file[TREE].arrays(filter_branch=lambda branch: branch.name in names, entry_stop=stop)


def at_first_use(url, names, stop):
    """Read the columns as bphcoffea does."""
    file = reading.opened(url, 60)
    stop = min(stop, file.root[TREE].num_entries)
    columns = reading.Columns(lambda: file, TREE, 0, stop, basket_limit(), names)
    for name in names:
        columns.extract_column(name, 0, stop, allow_missing=False)


READERS = {each.__name__: each for each in (column_by_column, preloaded, at_first_use)}


def traced():
    """Return the branches that the analysis of Ds decays reads."""
    metadata = {"D": {"is_mc": False, "era": "2017D", "kind": "data"}}
    needs = branch_needs(load_analysis("ds_phipi"), metadata, {})["D"]
    return [name for name in needs.required if name]


def one(reader, url, stop):
    """Print how long a reader takes in this process, which nothing was read in before, s."""
    storage.prepare_uproot(basket_limit())
    names = traced()
    clock, cpu = time.perf_counter(), time.process_time()
    READERS[reader](url, names, stop)
    print(json.dumps({"s": time.perf_counter() - clock, "cpu_s": time.process_time() - cpu}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="Tree3Mu ntuple of two muons and a track")
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--ms", type=float, nargs="+", default=[0, 30, 100], help="round trips")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("remote"))
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reader:
        one(arguments.reader, arguments.file, arguments.entries)
        return
    rows = []
    with server_folders() as (served, run), xrootd_server(served, run) as server:
        shutil.copy(arguments.file, served / "a.root")
        (served / "a.root").chmod(0o644)
        for ms in arguments.ms:
            port = DelayingProxy(server.port, ms / 1000).port
            url = f"root://127.0.0.1:{port}//a.root"
            for _ in range(arguments.repeat):
                for reader in READERS:
                    command = [sys.executable, __file__, url, "--reader", reader]
                    command += ["--entries", str(arguments.entries)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                    row = json.loads(done.stdout.splitlines()[-1])
                    rows.append({"reader": reader, "ms": ms, **row})
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "remote.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{arguments.entries} entries, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for ms in arguments.ms:
        for reader in READERS:
            found = [row for row in rows if (row["reader"], row["ms"]) == (reader, ms)]
            wall, cpu = (statistics.median(row[key] for row in found) for key in ("s", "cpu_s"))
            print(f"{ms:5.0f} ms  {reader:18s} {wall:7.2f} s, {cpu:.2f} s of processor time")


if __name__ == "__main__":
    main()
