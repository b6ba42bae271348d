"""Damaging ROOT files as disks and transfers do."""

import struct
import uuid

import uproot
import xxhash


def corrupt_basket(source, target, branch):
    """Write a copy whose first basket of a branch is garbage: it opens, and holds its tree."""
    content = bytearray(source.read_bytes())
    with uproot.open(source) as file:
        basket = file[f"Tree3Mu/ntuple/{branch}"].member("fBasketSeek")[0]
    content[basket + 80 : basket + 400] = bytes(320)
    target.write_bytes(content)
    return target


def forge_entries(source, target, tree, entries, branches=()):
    """Write a copy whose tree says that it has other entries, and so do some of its branches.

    The tree must not be compressed: so uproot writes it, and ROOT at level 0.
    """
    content = bytearray(source.read_bytes())
    with uproot.open(source) as file:
        header = file[tree]
        parts = [(header, (header.member("fTotBytes"), header.member("fZipBytes")))]
        for name in branches:
            branch = header[name]
            parts.append((branch, (0, branch.member("fTotBytes"), branch.member("fZipBytes"))))
        for part, rest in parts:
            old = int(part.member("fEntries"))
            _replace(content, struct.pack(f">{1 + len(rest)}q", old, *rest), entries)
    target.write_bytes(content)
    return target


def forge_cluster(source, target, tree, entries, *, footer=False):
    """Write a copy of a file that is not compressed, whose RNTuple's one cluster has other entries.

    With a footer that agrees, if that is asked for: it has a checksum, which is made anew.
    """
    content = bytearray(source.read_bytes())
    with uproot.open(source) as file:
        ntuple = file[tree]
        old = ntuple.num_entries
        offset = ntuple.footer.cluster_group_records[0].page_list_link.locator.offset
        _replace(content, struct.pack("<2Q", 0, old), entries, "<Q", 8, start=offset)
        if footer:
            seek, size = ntuple.member("fSeekFooter"), ntuple.member("fNBytesFooter")
            _replace(content, struct.pack("<2Q", 0, old), entries, "<Q", 8, start=seek)
            checksum = xxhash.xxh3_64_intdigest(bytes(content[seek : seek + size - 8]))
            content[seek + size - 8 : seek + size] = struct.pack("<Q", checksum)
    target.write_bytes(content)
    return target


def _replace(content, pattern, value, code=">q", at=0, start=0):
    place = content.index(pattern, start)
    struct.pack_into(code, content, place + at, value)


def made_again(source, target):
    """Write a copy with a UUID of its own, as if it were another file with the same content."""
    with uproot.open(source) as file:
        old = file.file.uuid.bytes
    # it stands in the header, and in every folder
    content = source.read_bytes().replace(old, uuid.uuid4().bytes)
    target.write_bytes(content)
    return target
