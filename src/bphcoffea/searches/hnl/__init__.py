"""Search for a heavy neutral lepton: limits on |V|² from a run and a fitted run of Ds → φπ.

- `rates`: widths, lifetime and branching fractions of N
- `signals`: simulated candidates, weighted to any lifetime
- `hypothesis`: backgrounds and signal of one mass
- `mixing_limit`: scan of |V|² at each mass
- `limit_record`: content of ``limit.json``, and its export
- `report`: lines and tables of the command line
- `figures`: figures of a limit
- `search`: interface for general packages
"""
