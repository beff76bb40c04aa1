"""What tests/infra.py needs to read the template: its values for given parameters, its patterns, its permissions."""
