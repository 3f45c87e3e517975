"""Tests of what moves frames and watches over it, with fakes for the socket."""
