"""Facilities: reading their files, and what is told of bad ones."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bphcoffea.errors import InputError
from bphcoffea.facilities import Facility, available_facilities, load_facility
from bphcoffea.facilities import facility as model

SHIPPED = Path(__file__).parents[2] / "facilities"
SLURM = 'kind = "slurm"\n[workers]\nwalltime = "01:00:00"\n'
TABLES = {
    "": Facility,
    "workers": model.Workers,
    "scheduler": model.Scheduler,
    "security": model.Security,
    "proxy": model.Proxy,
    "storage": model.Storage,
}


@pytest.fixture
def facility(tmp_path):
    """A facility of a text."""

    def facility(text, name="site"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return load_facility(path)

    return facility


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home and a working folder that are empty."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_facility_loads_and_is_described(path, home):
    loaded = load_facility(path)
    assert loaded.name == path.stem
    assert loaded.description
    assert load_facility(path.stem) == loaded


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_what_shipped_facilities_propose_in_comments_loads(path, tmp_path, home):
    # of what begins like a key or a table; of two proposals for one key, the first
    lines, seen = [], set()
    for line in path.read_text().splitlines():
        bare = line.removeprefix("# ")
        key = bare.partition(" = ")[0]
        if key.isidentifier() and " = " in bare:
            if key in seen:
                continue
            seen.add(key)
            lines.append(bare)
        elif bare.startswith("["):
            seen.clear()
            lines.append(bare)
    assert len(lines) > sum(" = " in line for line in path.read_text().splitlines()) / 2
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    assert load_facility(tmp_path / "mine.toml").kind == load_facility(path).kind


def test_names_are_found_at_home_then_shipped_but_not_in_the_current_folder(home):
    shipped = available_facilities()
    assert set(shipped) == {path.stem for path in SHIPPED.glob("*.toml")}
    own = home / ".config" / "bphcoffea" / "facilities"
    own.mkdir(parents=True)
    (own / "slurm.toml").write_text(SLURM.replace("01", "03"))
    Path("facilities").mkdir()
    Path("facilities", "slurm.toml").write_text(SLURM.replace("01", "04"))
    assert load_facility("slurm").workers.walltime == "03:00:00"
    assert set(available_facilities()) == set(shipped)


def test_user_folder_follows_xdg(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own = tmp_path / "config" / "bphcoffea" / "facilities"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text('kind = "local"')
    assert load_facility("mine").kind == "local"


def test_unknown_name_is_told_with_the_nearest(home):
    with pytest.raises(
        InputError, match=r"unknown facility 'slrum'; did you mean 'slurm'\? Available: .*loc"
    ):
        load_facility("slrum")


def test_values_are_expanded_once_but_not_those_that_workers_expand(facility, monkeypatch):
    monkeypatch.setenv("SITE", "a$HOME")
    loaded = facility(
        SLURM
        + 'logs = "~/$SITE/${SITE}/$$5"\nsetup = ["cd $SCRATCH"]\noptions = {local = "$TMP"}\n'
        + '[environment]\nA = "$SITE"\nN = 3\n[storage]\ncheckpoints = "root://h//$SITE"\n'
    )
    assert loaded.workers.logs == f"{os.environ['HOME']}/a$HOME/a$HOME/$5"
    assert loaded.workers.setup == ("cd $SCRATCH",)
    assert loaded.workers.options == {"local": "$TMP"}
    assert loaded.environment == {"A": "a$HOME", "N": "3"}
    assert loaded.storage.checkpoints == "root://h//a$HOME"


def test_certificates_are_relative_to_the_file(facility, tmp_path):
    loaded = facility('kind = "local"\n[security]\nca = "a"\ncert = "/b"\nkey = "c/d"\n')
    files = {"ca": str(tmp_path / "a"), "cert": "/b", "key": str(tmp_path / "c/d")}
    assert loaded.security.model_dump(exclude_unset=True) == files


def test_loopback_unless_said_otherwise(facility):
    assert facility(SLURM).scheduler.listen == "127.0.0.1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("root://h", "root://h//"),
        ("root://h:1094//", "root://h:1094//"),
        ("root://h/", "root://h//"),
        ("root://h//pnfs/cms", "root://h//pnfs/cms/"),
        ("roots://h//pnfs//", "roots://h//pnfs/"),
    ],
)
def test_path_follows_a_redirector_without_its_slash(facility, written, meant):
    (redirector,) = facility(
        f'kind = "local"\n[storage]\nredirectors = ["{written}"]'
    ).storage.redirectors
    assert redirector == meant


def test_walltime_without_quotes_is_understood(facility):
    assert facility(SLURM.replace('"01:00:00"', "02:30:00")).workers.walltime == "02:30:00"


BAD = {
    "not TOML": ("kind = local", "is all text in quotes?"),
    "twice": ('kind = "local"\nkind = "local"', "is a key given twice?"),
    "no kind": ('description = "x"', "kind: is missing"),
    "kind": ('kind = "slrum"', "kind: 'slrum' is none of local, scheduler, slurm, htcondor"),
    "name": ('kind = "local"\nname = "x"', "name: is the name of the file"),
    "no table": ('kind = "local"\nworkers = 4', "workers: expected a table"),
    "count": (SLURM + "count = 0", "workers.count: Input should be greater than 0"),
    "count text": (SLURM + 'count = "4"', "workers.count: expected a whole number"),
    "count true": (SLURM + "count = true", "workers.count: expected a whole number"),
    "count and adaptive": (SLURM + "count = 1\nmaximum = 2", "workers: give count, or minimum"),
    "minimum alone": (SLURM + "minimum = 2", "workers: minimum needs maximum"),
    "minimum above": (
        SLURM + "minimum = 3\nmaximum = 2",
        "workers: minimum 3 is more than maximum",
    ),
    "memory": (SLURM + 'memory = "2"', "workers.memory: '2' is not a size; write it as \"2GB\""),
    "memory number": (SLURM + "memory = 2", "workers.memory: expected text in quotes"),
    "memory none": (SLURM + 'memory = "0GB"', "workers.memory: '0GB' is not a size"),
    "walltime": (SLURM.replace("01:00:00", "2h"), "workers.walltime: '2h' is not a time; write it"),
    "walltime none": (SLURM.replace("01:", "00:"), "workers.walltime: '00:00:00' is not a time"),
    "no walltime": ('kind = "slurm"', "workers.walltime is missing; slurm needs it"),
    "queue twice": (SLURM + 'queue = "a"\npartition = "b"', "workers: queue and partition"),
    "setup": (SLURM + 'setup = "x"', "workers.setup: expected a list"),
    "setup lines": (SLURM + 'setup = ["a\\nb"]', "workers.setup.0: contains a line break"),
    "comment": (
        'kind = "htcondor"\n[workers]\nsetup = ["a  # b"]',
        "workers.setup contains a comment",
    ),
    "no image": ('kind = "kubernetes"', "workers.image is missing"),
    "not of its kind": (SLURM + 'disk = "1GB"', "workers.disk is for htcondor, not slurm"),
    "workers of others": ('kind = "scheduler"\n[workers]\ncount = 1', "workers is for local"),
    "address of ours": (SLURM + '[scheduler]\naddress = "tcp://h:1"', "scheduler.address is for"),
    "address": (
        'kind = "scheduler"\n[scheduler]\naddress = "host"',
        "'host' is not a scheduler address",
    ),
    "tls": (
        'kind = "scheduler"\n[scheduler]\naddress = "tls://h:1"',
        "scheduler.address is tls, so [security] must give",
    ),
    "port": ('kind = "local"\n[scheduler]\nport = 70000', "scheduler.port: Input should be less"),
    "certificates": (
        'kind = "local"\n[security]\nca = "x"\ncert = "y"',
        "security: key missing; give ca, cert and key, or none",
    ),
    "certificates without TLS": (
        'kind = "local"\n[security]\ntls = false\nca = "x"\ncert = "y"\nkey = "z"',
        "security: tls is false, so ca, cert and key are unused",
    ),
    "TLS of others": (
        'kind = "scheduler"\n[security]\ntls = false',
        "security.tls is for local, slurm, htcondor, not scheduler",
    ),
    "security of pods": (
        'kind = "kubernetes"\n[workers]\nimage = "x"\n[security]\nca = "x"\ncert = "y"\nkey = "z"',
        "security is for local, scheduler, slurm, htcondor, not kubernetes",
    ),
    "variable": ('kind = "local"\n[environment]\n"A B" = "x"', "'A B' is not a variable name"),
    "secret": (
        'kind = "local"\n[environment]\nBEARER_TOKEN = "x"',
        "environment.BEARER_TOKEN: 'BEARER_TOKEN' looks like a secret",
    ),
    "unset": (SLURM + 'logs = "$NOT_SET_HERE/x"', "workers.logs: $NOT_SET_HERE is not set"),
    "no user": (
        SLURM + 'logs = "~nobody-of-that-name/x"',
        "workers.logs: '~nobody-of-that-name/x'",
    ),
    "required": ('kind = "local"\n[proxy]\nrequired = "yes"', "proxy.required: expected true or"),
    "redirector": (
        'kind = "local"\n[storage]\nredirectors = ["xrootd-cms.infn.it"]',
        "storage.redirectors.0: 'xrootd-cms.infn.it' is not a redirector",
    ),
    "relative": (
        'kind = "local"\n[storage]\nstage_out = "out"',
        "storage.stage_out: 'out' is neither",
    ),
    "password": (
        'kind = "local"\n[storage]\nstage_out = "https://me:word@host/x"',
        "storage.stage_out: contains a password",
    ),
    "token": (
        'kind = "local"\n[storage]\ncheckpoints = "root://host//x?authz=abc"',
        "storage.checkpoints: contains a password or token",
    ),
}


@pytest.mark.parametrize(("text", "told"), BAD.values(), ids=BAD)
def test_bad_facility_is_told_in_one_line(facility, tmp_path, text, told):
    with pytest.raises(InputError) as raised:
        facility(text)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{tmp_path / 'site.toml'}: ")
    assert told in line


def test_every_fault_has_a_line(facility):
    with pytest.raises(InputError) as raised:
        facility('kind = "local"\nx = 1\n[workers]\ncores = 0\nlogs = "$NOT_SET_HERE"\n')
    assert len(str(raised.value).splitlines()) == 3


def test_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: no such facility file"):
        load_facility("nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.toml: not a TOML file"):
        load_facility(tmp_path / "binary.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=r"folder\.toml: cannot be read"):
        load_facility(tmp_path / "folder.toml")


@given(
    st.sampled_from(sorted(TABLES)),
    st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1),
    st.sampled_from(["1", '"text"', "[]", "true", "{}"]),
)
@example("workers", "thn", "1")
def test_unknown_key_is_always_named_with_the_known_ones(tmp_path_factory, table, key, value):
    known = set(TABLES[table].model_fields)
    if key in known:
        return
    # of the right kind otherwise, so that nothing else is to be told
    line = f"{key} = {value}\n"
    text = f'{line if not table else ""}kind = "local"\n'
    text += f"[{table}]\n{line}" if table else ""
    path = tmp_path_factory.getbasetemp() / "unknown.toml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        load_facility(path)
    (told,) = str(raised.value).splitlines()
    assert f"{table + '.' if table else ''}{key}: unknown key" in told
    # with a capital after the nearest key
    listed = told.casefold().partition("known keys: ")[2].split(", ")
    assert set(listed) == known - ({"name"} if not table else set())


def test_nearest_key_is_suggested(facility):
    with pytest.raises(InputError, match=r"workers.memroy: unknown key; did you mean 'memory'\?"):
        facility(SLURM + 'memroy = "2GB"')
