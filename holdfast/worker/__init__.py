"""Worker processes: what each role serves, how a process is put together, and what it keeps up."""
