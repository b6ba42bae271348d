"""What surrounds a candidate, against loops over its tracks."""

import math

import awkward as ak
import numpy as np
import pytest

from bphcoffea.physics import pointing_angle, surroundings


def lists(columns, counts):
    return ak.unflatten(ak.zip(columns), counts)


def random_events(events, seed):
    """Candidates of three legs with vertices, and tracks, some of which are the legs' own."""
    rng = np.random.default_rng(seed)
    candidates, tracks = rng.integers(0, 4, events), rng.integers(0, 9, events)
    n = int(candidates.sum())

    def momenta(size):
        values = rng.uniform(0.5, 6, size), rng.uniform(-0.3, 0.3, size), rng.normal(3.1, 0.2, size)
        return dict(zip(("pt", "eta", "phi"), values, strict=True))

    legs = [lists(momenta(n), candidates) for _ in range(3)]
    primary, secondary = (
        lists({x: rng.normal(0, spread, n) for x in "xyz"}, candidates) for spread in (0.01, 0.1)
    )
    columns = momenta(int(tracks.sum())) | {
        name: rng.normal(0, 0.08, int(tracks.sum())) for name in ("dxy", "dz")
    }
    made = lists(columns, tracks)
    # the first track of an event is the second leg of its first candidate
    pts = made.pt.to_list()
    for of_event, candidates_pt in zip(pts, legs[1].pt.to_list(), strict=True):
        if of_event and candidates_pt:
            of_event[0] = candidates_pt[0]
    own = ak.unflatten([pt for of_event in pts for pt in of_event], [len(e) for e in pts])
    return legs, primary, secondary, ak.with_field(made, own, "pt")


def distance_to_line(point, track):
    """Smallest distance of a point to points all along a track."""
    start = np.array([-track.dxy * math.sin(track.phi), track.dxy * math.cos(track.phi), track.dz])
    along = np.array([math.cos(track.phi), math.sin(track.phi), math.sinh(track.eta)])
    along /= np.linalg.norm(along)
    steps = np.linspace(-2, 2, 200_001)
    return np.sqrt(np.min(np.sum((start + steps[:, np.newaxis] * along - point) ** 2, axis=1)))


def near(track, leg, point):
    angle = math.hypot(track.eta - leg.eta, track.phi - leg.phi)
    return track.pt > 1 and distance_to_line(point, track) < 0.1 and angle < 0.3


def test_agree_with_a_loop_over_the_tracks():
    legs, primary, secondary, tracks = random_events(8, seed=2)
    own_pt = [leg.pt for leg in legs]
    # moved, as by an uncertainty of their momenta
    legs = [ak.with_field(leg, 1.01 * leg.pt, "pt") for leg in legs]
    got = surroundings(legs, own_pt, primary, secondary, tracks)
    assert ak.num(got.isolation).tolist() == ak.num(legs[0]).tolist()
    found = 0
    for event, of_event in enumerate(ak.num(legs[0]).tolist()):
        for i in range(of_event):
            own = [leg[event, i] for leg in legs]
            pts = [pt[event, i] for pt in own_pt]
            point = [secondary[event, i][x] - primary[event, i][x] for x in "xyz"]
            others = [t for t in tracks[event] if t.pt not in pts]
            distances = [distance_to_line(point, t) for t in others]
            closest = got.closest_track[event, i]
            # steps of 20 µm along the track
            assert (
                math.isnan(closest)
                if not others
                else closest == pytest.approx(min(distances), abs=2e-6)
            )
            sums = [
                sum(track.pt for track in others if near(track, leg, point)) / leg.pt for leg in own
            ]
            assert got.isolation[event, i] == pytest.approx(max(sums))
            found += max(sums) > 0
    assert found > 3


def test_pointing_angle():
    origin = lists({"x": [1.0] * 4, "y": [0.0] * 4, "z": [2.0] * 4}, [4])
    vertex = lists({"x": [2.0, 0.0, 1.0, 1.0], "y": [0.0, 0.0, 1.0, 0.0], "z": [2.0] * 4}, [4])
    momentum = lists({"pt": [3.0] * 4, "eta": [0.0] * 4, "phi": [0.0] * 4}, [4])
    got = ak.flatten(pointing_angle(origin, vertex, momentum)).to_numpy()
    assert got[:3] == pytest.approx([0, math.pi, math.pi / 2])
    assert math.isnan(got[3])
