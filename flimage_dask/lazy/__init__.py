"""A series as lazy arrays, and what is found out about it block by block."""
