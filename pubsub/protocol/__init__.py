"""The contract with clients: typed messages, their JSON, error codes and close codes.

Pure functions of their arguments (and, for timestamps, of the clock). Nothing here knows a
socket or the broker's state.
"""
