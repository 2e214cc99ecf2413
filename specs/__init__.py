"""The specification: what must hold of any correct `nanochat`, and the oracles that say what is right."""
