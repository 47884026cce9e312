"""The layered solution (33 kV, 11 kV, LV apart) against one solution of the merged network."""
