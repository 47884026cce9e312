"""Two or more runs side by side: what differs between them, whether differences are effects, and how large they are."""
