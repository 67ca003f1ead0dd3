"""The pickle machine, run symbolically, and the one reading of tensors."""
