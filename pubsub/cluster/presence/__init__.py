"""The members of topics in all processes."""
