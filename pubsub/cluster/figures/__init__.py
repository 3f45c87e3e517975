"""What is asked of all processes, and answered for the room."""
