"""The topics of the room, of which every process has a copy."""
