"""NanoEvents schemas: how the branches of an ntuple become collections of objects."""

from bphcoffea.schemas.nanoaod import ReducedNanoAODSchema
from bphcoffea.schemas.tree3mu import ThreeMuSchema, Tree3MuSchema, TwoMuTrackSchema

__all__ = ["ReducedNanoAODSchema", "ThreeMuSchema", "Tree3MuSchema", "TwoMuTrackSchema"]
