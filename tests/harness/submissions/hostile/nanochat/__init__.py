"""A package that misbehaves only where it is asked to: one function of `calls`, or one module, per way."""
