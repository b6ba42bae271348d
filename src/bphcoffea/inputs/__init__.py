"""NanoEvents schemas, which turn the branches of a file into collections of objects."""

from bphcoffea.inputs.nanoaod import ReducedNanoAODSchema
from bphcoffea.inputs.tree3mu import ThreeMuSchema, Tree3MuSchema, TwoMuTrackSchema
from bphcoffea.inputs.wztree import PARKING_PATHS, WZTreeSchema

__all__ = [
    "PARKING_PATHS",
    "ReducedNanoAODSchema",
    "ThreeMuSchema",
    "Tree3MuSchema",
    "TwoMuTrackSchema",
    "WZTreeSchema",
]
