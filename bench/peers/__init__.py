"""What the chat room is measured against."""
