"""Members of topics in other processes."""
