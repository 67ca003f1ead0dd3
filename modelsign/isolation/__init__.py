"""Workers with no rights: descriptors in, bounded JSON out."""
