"""Copy an RNTuple of the toys to a file of ROOT's own: ``convert.py SOURCE TREE TARGET FORMAT``.

As a TTree it has ``std::vector`` branches, baskets of 32 kB, clusters of 30 MB and zlib of level 1,
as the ntuples of CMS have; as an RNTuple it has the defaults of ROOT.
"""

import sys

import ROOT

LIST = "ROOT::VecOps::RVec<"


def main(source, tree, target, format_of_target):
    events = ROOT.RDataFrame(tree, source)
    names = [str(name) for name in events.GetColumnNames() if not str(name).startswith("R_rdf_")]
    copied = ROOT.RDF.AsRNode(events)
    for name in names:
        kind = str(events.GetColumnType(name))
        if kind.startswith(LIST):
            vector = f"std::vector<{kind.removeprefix(LIST).removesuffix('>')}>"
            copied = copied.Redefine(name, f"{vector}({name}.begin(), {name}.end())")
            copied = ROOT.RDF.AsRNode(copied)
    options = ROOT.RDF.RSnapshotOptions()
    options.fVector2RVec = False
    options.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kRNTuple
    if format_of_target == "ttree":
        options.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kTTree
        options.fCompressionAlgorithm = ROOT.RCompressionSetting.EAlgorithm.kZLIB
        options.fCompressionLevel = 1
    copied.Snapshot(tree, target, names, options)


main(*sys.argv[1:])
