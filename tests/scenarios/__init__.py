"""Each rule of the notation, over a real socket: a vendor file, a server that answers by a script, a client."""
