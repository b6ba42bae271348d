"""What the tests share: reading files as a run does, small ntuples, paths of samples."""

import contextlib
import gc
import io
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import awkward as ak
import matplotlib
import numpy as np
import preloaded
import pytest
import samples
import services
import shared
import uproot
from coffea.nanoevents import NanoEventsFactory
from hypothesis import HealthCheck, settings

from bphcoffea import cli
from bphcoffea.cli import terminal
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, load_analysis, needs, run, run_analysis
from bphcoffea.execution.checkpoints import fingerprint
from bphcoffea.execution.executors import engines
from bphcoffea.execution.loading import SOURCE_SHA256
from bphcoffea.inputs import ThreeMuSchema, TwoMuTrackSchema, branch_filter, iteritems_options
from bphcoffea.processing import tracing
from bphcoffea.results import RunFolder, root_histograms
from bphcoffea.storage.decompression import decompress_within

ROOT = Path(__file__).parents[1]

# how fast a loaded machine is, is no property of the code; other examples come with each run
settings.register_profile(
    "any machine",
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items):
    """Run the longest files first: the last file keeps one worker, while others have none."""
    long = (
        *("test_notebooks.py", "test_documentation.py", "test_mixing_limit.py", "test_faults.py"),
        *("test_resume.py", "test_closure.py", "test_cli.py", "test_hnl.py", "test_pieces.py"),
        *("test_jet_energy.py", "test_run.py", "test_services.py", "test_stops.py"),
        *("test_facility.py", "test_scheduler.py", "test_sidebands.py", "test_dimuon.py"),
        *("test_lepton_calibrations.py", "test_bad_input.py", "test_secrets.py"),
        *("test_ds_phipi_closure.py", "test_stageout.py", "test_clusters.py", "test_tau3mu.py"),
        *("test_top_met.py", "test_zmumu.py", "test_file_handles.py", "test_figure_options.py"),
        *("test_cls_limits.py", "test_fcc_zrecoil.py", "test_skim.py"),
    )
    rank = {name: place for place, name in enumerate(long)}
    items.sort(key=lambda item: rank.get(item.path.name, len(long)))


def pytest_collection_finish():
    """Heed Ctrl-C, and search what was imported and collected for garbage no more.

    A shell lets its background ignore Ctrl-C, and importing dask-jobqueue replaces the handler.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """A cache of its own, where checkpoints go: not that of the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        # to list all fonts takes seconds
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def impatient_clients():
    """Wait less long for XRootD servers that are gone: half as long as for a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRD_CONNECTIONWINDOW", "5")
        yield


@pytest.fixture(autouse=True, scope="session")
def whole_lines():
    """Print whole lines, although workers of xdist are told the width of a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def traced_once():
    """Runs of the same analysis on like datasets find only once what it reads: that takes a second.

    The same are analyses of the same files and configuration; those of a test are always traced.
    """
    traced = {}

    def once(trace):
        def trace_once(analysis, *given):
            kind = type(analysis)
            if not hasattr(sys.modules.get(kind.__module__), SOURCE_SHA256):
                return trace(analysis, *given)
            known = json.dumps(given, sort_keys=True, default=repr)
            key = (trace, kind.__qualname__, fingerprint(analysis), known)
            if key not in traced:
                traced[key] = trace(analysis, *given)
            return traced[key]

        return trace_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(needs, "branch_needs", once(tracing.branch_needs))
        yield


@pytest.fixture(autouse=True, scope="session")
def forked_workers():
    """Start workers quickly, unless a test asks for ``spawned_workers``."""
    with preloaded.forked_workers():
        yield


@pytest.fixture
def spawned_workers():
    """Start workers as for a user."""
    with preloaded.spawned_workers():
        yield


@pytest.fixture(autouse=True, scope="session")
def without_dask_reports():
    """Runs write no performance report of Dask, which takes a second.

    They do in a test that asks for ``dask_reports``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_analysis, "reporting", lambda *_: contextlib.nullcontext())
        yield


@pytest.fixture
def dask_reports(monkeypatch):
    """Runs on Dask write its performance report, as for a user."""
    monkeypatch.setattr(run_analysis, "reporting", engines.reporting)


@pytest.fixture(scope="session")
def shared_folders(tmp_path_factory, worker_id):
    """Folders that are made once for all workers."""
    top = tmp_path_factory.getbasetemp()
    folder = (top if worker_id == "master" else top.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return shared.SharedFolders(folder)


@pytest.fixture(scope="module")
def without_root_files():
    """Runs write no ROOT file of their histograms.

    The search for N has 1400 for each dataset, which take more time than the events.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(root_histograms, "write_root", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def ds_phipi_toys(shared_folders):
    """Folder of toys of Ds → φπ that are large enough for a fit."""
    return shared_folders.toys("ds_phipi", 40_000, 3)


@pytest.fixture(scope="session")
def ds_phipi_run(shared_folders, ds_phipi, ds_phipi_toys):
    """A corrected run over these toys, to be read alone."""
    corrected = ds_phipi.corrected(load_corrections([ds_phipi_toys / "corrections.toml"]))
    fileset = load_fileset(ds_phipi_toys / "fileset.json")

    def make(folder):
        run(corrected, fileset, folder, Options("iterative"))

    return RunFolder(shared_folders.get("ds_phipi_run", make))


class Ended(NamedTuple):
    """How a command ended: exit status, standard output, lines of standard error."""

    status: int
    out: str
    errors: list[str]

    @property
    def err(self):
        """Standard error as one text."""
        return "".join(f"{line}\n" for line in self.errors)


@pytest.fixture
def bphcoffea(capsys, monkeypatch):
    """Run the command line in this process."""

    def bphcoffea(*arguments):
        monkeypatch.setattr(sys, "argv", ["bphcoffea", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return Ended(left.value.code or 0, out, err.splitlines())

    yield bphcoffea
    terminal.show_log()  # the last command may have been quiet


@pytest.fixture(autouse=True)
def basket_limit():
    """Tests that lower the limit on baskets in this process leave it as it was."""
    yield
    decompress_within(2**30)


@pytest.fixture(scope="session")
def data():
    """Folder of the small ntuples that this project made."""
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def nanoaod():
    """Folder of coffea's samples: NanoAOD, EDM4hep of the FCC, and PHYSLITE."""
    try:
        return samples.folder()
    except samples.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def slim_nanoaod(shared_folders, nanoaod):
    """Folder of NanoAOD samples with the branches of leptons and jets alone, for runs over them."""

    def make(folder):
        folder.mkdir()
        for name in ("nano_dy.root", "nano_dimuon.root"):
            samples.write_slim(nanoaod / name, folder / name)

    return shared_folders.get("slim_nanoaod", make)


@pytest.fixture(scope="session")
def slim_tt(shared_folders, nanoaod):
    """NanoAOD v15 of tt̄ with what calibrations read: its 2656 branches take seconds to open."""
    leptons, jets = ("Muon", "Electron", "Tau"), ("Jet", "FatJet", "CorrT1METJet")
    fields = """
        pt eta phi mass charge pdgId genPartIdx genPartFlav nTrackerLayers looseId tightId r9
        seedGain deltaEtaSC superclusterEta mvaIso_WP80 decayMode area rawFactor rawPt EmEF
        genJetIdx genJetAK8Idx hadronFlavour partonFlavour muonSubtrFactor muonSubtrDeltaEta
        muonSubtrDeltaPhi chEmEF neEmEF chHEF neHEF muEF chMultiplicity neMultiplicity btagPNetB
        particleNetWithMass_TvsQCD particleNetWithMass_WvsQCD statusFlags genPartIdxMother
    """

    def make(folder):
        folder.mkdir()
        samples.write_slim(
            nanoaod / "nano_tt_v15.root",
            folder / "tt.root",
            collections=(*leptons, *jets, "GenPart", "GenJet", "GenJetAK8"),
            alike=("PuppiMET_", "RawPuppiMET_", "Rho_", "Flag_", "HLT_PFMET", "PSWeight"),
            fields=frozenset(fields.split()),
        )

    return shared_folders.get("slim_tt", make) / "tt.root"


@pytest.fixture
def served():
    """A folder to serve over XRootD, and one for the server's own files."""
    why_not = services.why_no_xrootd()
    if why_not:
        pytest.skip(why_not)
    with services.server_folders() as folders:
        yield folders


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MB."""
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(services.small_disk(tmp_path / "disk"))
        except OSError as reason:
            pytest.skip(str(reason))
        yield made


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority, which signs proxies of a user."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return services.CertificateAuthority(tmp_path_factory.mktemp("grid") / "authority")


@pytest.fixture(scope="session")
def installed(shared_folders):
    """An interpreter that has a wheel of the project, and not its checkout."""
    return shared_folders.get("installed", services.installed) / "venv" / "bin" / "python"


@pytest.fixture(scope="session")
def ds_phipi():
    return load_analysis(str(ROOT / "processors" / "ds_phipi.py"))


@pytest.fixture(scope="session")
def dimuon():
    return load_analysis(str(ROOT / "processors" / "dimuon.py"))


@pytest.fixture(scope="session")
def tau3mu():
    return load_analysis(str(ROOT / "processors" / "tau3mu.py"))


@pytest.fixture(scope="session")
def open_events():
    """Open a file as a run does: lazily, with a schema and a dataset's metadata."""

    def open_events(file, schema, tree="Tree3Mu/ntuple", log=None, **metadata):
        known = {"dataset": "test", "is_mc": False, "era": "2017B", "hlt": ()} | metadata
        root = file
        if not isinstance(file, uproot.ReadOnlyDirectory):
            root = uproot.open(io.BytesIO(file) if isinstance(file, bytes) else file)
        return NanoEventsFactory.from_root(
            root,
            treepath=tree,
            schemaclass=schema,
            metadata=known,
            mode="virtual",
            access_log=log,
            buffer_cache={},
            iteritems_options=iteritems_options(branch_filter(schema)),
        ).events()

    return open_events


@pytest.fixture(scope="session")
def ntuple():
    """Bytes of an ntuple made of events that are dictionaries of branches."""
    types = TwoMuTrackSchema._known_lists() | ThreeMuSchema._known_lists()

    def ntuple(events):
        columns = {}
        for name in events[0]:
            values = [event[name] for event in events]
            if name not in types:
                columns[name] = np.array(values, dtype=np.uint32)
                continue
            counts = [len(v) for v in values]
            flat = [x for v in values for x in v]
            if types[name] is str:
                content = ak.Array([*flat, ""])[:-1]
            else:
                content = ak.from_numpy(np.array(flat, dtype=types[name]))
            columns[name] = ak.unflatten(content, counts)
        buffer = io.BytesIO()
        with uproot.recreate(buffer) as root:
            root.mkdir("Tree3Mu").mkrntuple("ntuple", columns)
            return buffer.getvalue()

    return ntuple


@pytest.fixture(scope="session")
def one_candidate():
    """An event whose one candidate passes every cut of Ds → φπ."""

    def one_candidate(**changes):
        event = {"evt": 4_000_000_000, "run": 299368, "lumi": 7} | {
            name: [0.0] for name, kind in TwoMuTrackSchema._known_lists().items() if kind is not str
        }
        # two collinear-ish muons that make a φ: m² ≈ 2 pT² (cosh Δη - cos Δφ) + 4 mμ²
        event |= {
            "Trigger_hltname": ["HLT_DoubleMu3_Trk_Tau3mu_v5"],
            "Trigger_hltdecision": [1],
            "Trigger_l1name": ["L1_DoubleMu4_SQ_OS_dR_Max1p2"],
            "Trigger_l1decision": [1],
            "Triplet2_Mass": [1.968],
            "TripletVtx2_Chi2": [1.5],
            "RefittedPV2_NTracks": [20.0],
            "FlightDistBS_SV_Significance": [8.0],
            "Mu01_Pt": [5.000000001],
            "Mu01_Eta": [0.5],
            "Mu01_Phi": [3.1],
            "Mu02_Pt": [4.1],
            "Mu02_Eta": [0.5],
            "Mu02_Phi": [-3.0],
            "Tr_Pt": [2.1],
            "Tr_Eta": [0.4],
            "Tr_Phi": [3.0],
            "RefTrack1_Pt": [5.0],
            "RefTrack1_Eta": [0.5],
            "RefTrack1_Phi": [3.1],
            "RefTrack2_Pt": [5.0],
            "RefTrack2_Eta": [0.5],
            "RefTrack2_Phi": [3.3],
            "Mu1_dRtriggerMatch_2017": [0.01],
            "Mu2_dRtriggerMatch_2017": [0.01],
            "Mu1_dRtriggerMatch": [-99.0],
            "Mu2_dRtriggerMatch": [-99.0],
            "MuonPt": [4.1, 5.0],
            "Track_pt": [0.7, 2.1],
        }
        event |= {
            name: [1.0, 1.0] for name in event if name.startswith("Muon") and name != "MuonPt"
        }
        event |= {
            name: [0.1, 0.1] for name in event if name.startswith("Track_") and name != "Track_pt"
        }
        return event | changes

    return one_candidate
