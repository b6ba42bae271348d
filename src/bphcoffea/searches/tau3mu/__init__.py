"""The search for τ → 3μ: from a run of it and a fitted run of Ds → φ(μμ)π to a limit on B(τ → 3μ).

- `rates`: branching fractions, corrections and their uncertainties
- `signals`: simulated candidates of each year and category
- `normalisation`: expected signal of a year, from the yield of Ds → φπ
- `limits`: mass spectra of the categories, and the content of ``limit.json``
- `export`: datacards and workspaces
- `figures`: what ``plot`` draws of a limit
"""
