"""One file per kind of checkpoint: each turns untrusted bytes into a `Plan`, and none copies a weight."""
