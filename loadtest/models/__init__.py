"""Stand-ins for the models, for load tests only: they keep the contracts, take a fixed time and cost next to nothing.

They recognise and say nothing real. The folder is a Triton model repository, too.
"""
