"""From what the tool found or did to the predicate that says so."""
