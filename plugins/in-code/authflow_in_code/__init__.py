"""Vendors that need code: one module for each of the three hooks, each with the vendor file that it completes."""
