"""What people see: a picture of a correction, and in words what is in a file and how a run went."""
