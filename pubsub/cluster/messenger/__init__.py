"""Questions between the processes of a room, and their answers."""
