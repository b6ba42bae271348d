"""Damaging ROOT files as disks and transfers do."""

import uproot


def corrupt_basket(source, target, branch):
    """Write a copy whose first basket of a branch is garbage: it opens, and holds its tree."""
    content = bytearray(source.read_bytes())
    with uproot.open(source) as file:
        basket = file[f"Tree3Mu/ntuple/{branch}"].member("fBasketSeek")[0]
    content[basket + 80 : basket + 400] = bytes(320)
    target.write_bytes(content)
    return target
