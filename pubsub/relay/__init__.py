"""How bytes travel between the processes of one room."""
