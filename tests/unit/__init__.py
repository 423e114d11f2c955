"""What needs no actor: rules, encodings, values, and the tools of the tests themselves."""
