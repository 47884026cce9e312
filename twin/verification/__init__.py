"""Reference cases: our figures beside those of other programs, papers and hand solutions (`twin verify`)."""
