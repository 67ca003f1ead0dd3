"""Rules over names and neighbours."""
