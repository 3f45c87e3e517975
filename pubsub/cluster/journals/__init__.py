"""Topics with history: their messages live in logs that all processes share."""
