"""The words of the business, in the standard library only."""
