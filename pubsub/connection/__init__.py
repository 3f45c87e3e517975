"""One client's connection: its read pump, its write pump, its budget, its rate and its end."""
