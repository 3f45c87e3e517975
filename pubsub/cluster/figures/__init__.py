"""Listings and totals of the whole room, for which all processes are asked."""
