"""Everything that remembers: catalogue, customers, events and keys in SQL; ready slates in Redis."""
