"""What two students share that neither was handed: fingerprints of their own text, and pairs."""
