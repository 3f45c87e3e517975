"""The Django project that serves the chat room."""
