"""Other systems behind the same talkers, for comparison; a folder each."""
