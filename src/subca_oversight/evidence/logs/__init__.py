"""What lists say of logs: every word of every list, the word that counts, and how it changed."""
