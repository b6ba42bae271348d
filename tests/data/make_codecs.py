"""Make the files `codec_*.root` of this folder: the same tree under each way to compress.

Needs ROOT (the wheel ``root`` of the package index, a pre-release); run it in this folder.
"""

import ROOT

#: Name of the file: algorithm and level of its compression, and whether it holds an RNTuple.
FILES = {
    "none": ("kZLIB", 0, False),
    "zlib": ("kZLIB", 5, False),
    "lzma": ("kLZMA", 5, False),
    "lz4": ("kLZ4", 4, False),
    "zstd": ("kZSTD", 5, False),
    "rntuple": ("kZSTD", 5, True),
}
COLUMNS = {
    "evt": "unsigned(rdfentry_)",
    "pt": "float(rdfentry_ % 97) / 7",
    "tracks": "std::vector<float>(rdfentry_ % 4, float(rdfentry_ % 89))",
}


def main() -> None:
    """Write the files."""
    for name, (algorithm, level, is_rntuple) in FILES.items():
        options = ROOT.RDF.RSnapshotOptions()
        options.fCompressionAlgorithm = getattr(ROOT.RCompressionSetting.EAlgorithm, algorithm)
        options.fCompressionLevel = level
        formats = ROOT.RDF.ESnapshotOutputFormat
        options.fOutputFormat = formats.kRNTuple if is_rntuple else formats.kTTree
        if not is_rntuple:
            options.fAutoFlush = 600
        events = ROOT.RDataFrame(2000)
        for column, expression in COLUMNS.items():
            events = events.Define(column, expression)
        events.Snapshot("ntuple", f"codec_{name}.root", list(COLUMNS), options)


if __name__ == "__main__":
    main()
