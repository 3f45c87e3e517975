"""An ordinary Django project that has the chat room beside its own views."""
