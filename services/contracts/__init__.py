"""The words every process shares, as plain data.

No I/O, no clock, no settings; imports nothing else of Parley.
"""
