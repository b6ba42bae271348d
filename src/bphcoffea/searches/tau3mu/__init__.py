"""Search for τ → 3μ: limits on B(τ → 3μ) from a run and a fitted run of Ds → φ(μμ)π.

- `rates`: branching fractions, corrections and their uncertainties
- `signals`: simulated candidates of each year and category
- `normalisation`: expected signal of a year, from the yield of Ds → φπ
- `spectra`: mass spectra of the categories
- `branching_limit`: limits on B(τ → 3μ)
- `limit_record`: content of ``limit.json``, and its export
- `report`: lines and tables of the command line
- `figures`: figures of a limit
- `search`: interface for general packages
"""
