"""The kill matrix: which property notices which bug, found in warm forks of one prepared process."""
