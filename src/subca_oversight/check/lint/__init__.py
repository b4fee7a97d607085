"""External linters behind one interface, in processes that may die without harm.

:mod:`.api` is the interface, :mod:`.profiles` chooses what a certificate is linted as,
:mod:`.pkilint_adapter` runs pkilint, :mod:`.pool` runs adapters in spawned processes and
:mod:`.keys` looks for weak keys.
"""
