"""Who computes the blocks of a series, in what memory, and how they become an output."""
