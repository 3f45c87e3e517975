"""Publications of topics without history, between processes."""
