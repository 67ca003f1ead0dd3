"""Untrusted bytes -> facts -> findings. Executes nothing, opens no network connection, knows no command line.

Read in this order: `reader` (what a format sees of the world), `reading` (what a format states), `facts`,
`findings`, `engine`. Formats read, rules judge; `registry` lists both.
"""
