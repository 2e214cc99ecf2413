"""Short functions over tiktoken, special tokens kept apart."""
