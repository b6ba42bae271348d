"""The search for a heavy neutral lepton: from a run and a fitted run of Ds → φπ to limits on |V|².

- `rates`: widths, lifetime and branching fractions of N
- `signals`: simulated candidates, weighted to any lifetime
- `mixing_limit`: the scan of |V|² at each mass
- `export`: datacards and workspaces
- `figures`: what ``plot`` draws of a limit
"""
