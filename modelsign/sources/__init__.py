"""URI -> source of files; one scheme per file."""
