"""Who a client is and what it may do: identities, tokens and the settings for both."""
