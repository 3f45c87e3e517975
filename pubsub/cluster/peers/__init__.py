"""The other processes that live, and how many subscribers topics have there."""
