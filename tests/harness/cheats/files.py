"""."""
from .cheat import Cheat
CHEATS: list[Cheat] = []
