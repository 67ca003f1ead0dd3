"""Checkpoint -> safetensors, executing nothing."""
