"""Which processes there are, and how many subscribers topics have in them."""
