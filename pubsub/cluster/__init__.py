"""One room from several processes: what a relay carries, and what it means."""
