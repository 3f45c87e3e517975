"""An ordinary Django project that hosts the chat room beside its own views."""
