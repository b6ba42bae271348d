"""Read branches of TTrees without an analysis: ``bare.py HOW TREE BRANCH,BRANCH,… FILE…``.

HOW is ``uproot``, which makes arrays of 100 000 entries at a time, or ``libdeflate``, which only
inflates the baskets: a lower bound for whatever reads zlib.
"""

import sys
from pathlib import Path

import deflate
import uproot

CHUNK = 100_000
_BLOCK_HEADER = 9  # bytes: algorithm, method, sizes of the block before and after compression


def read_arrays(tree, branches):
    for _ in tree.iterate(branches, step_size=CHUNK):
        pass


def baskets(tree, branches):
    """Yield the position of the data of each basket, and their sizes before and after."""
    for name in branches:
        branch = tree[name]
        for number in range(branch.num_baskets):
            key = branch.basket_key(number)
            yield key.fSeekKey + key.fKeylen, key.fNbytes - key.fKeylen, key.fObjlen


def inflate(path, tree, branches):
    with Path(path).open("rb") as file:
        for position, stored, length in baskets(tree, branches):
            file.seek(position)
            data = memoryview(file.read(stored))
            while data and stored < length:
                assert bytes(data[:2]) == b"ZL", "the file is not compressed with zlib"
                compressed, expanded = (int.from_bytes(data[i : i + 3], "little") for i in (3, 6))
                block, data = data[_BLOCK_HEADER:][:compressed], data[_BLOCK_HEADER + compressed :]
                assert len(deflate.zlib_decompress(block, expanded)) == expanded


def main(how, tree_name, branches, *files):
    branches = branches.split(",")
    for path in files:
        with uproot.open(path) as file:
            if how == "uproot":
                read_arrays(file[tree_name], branches)
            else:
                inflate(path, file[tree_name], branches)


main(*sys.argv[1:])
