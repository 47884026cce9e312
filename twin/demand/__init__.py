"""Demand of consumers: weather, archetypes, stateless draws and price response."""
