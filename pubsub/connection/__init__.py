"""One client's connection: read pump, write pump, commands, budget, rate limit and closing."""
